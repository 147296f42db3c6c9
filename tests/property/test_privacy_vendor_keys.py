"""Keys of vendors, drawn at random in the form that each vendor publishes: fewer than 1 in 10,000 may stay.

The forms are written down here, and not read from the package: what the package takes for a key is what is tested.
HONEYHIVE_TEST_KEYS sets how many of each form are drawn.
"""

from __future__ import annotations

import os
import random
import re
import string
from typing import Callable, Dict, List

import pytest

from honeyhive_litellm._privacy.sanitize import clean_text

DRAWN = int(os.environ.get("HONEYHIVE_TEST_KEYS", "60"))
MISSED = 1 / 10_000
LIMIT = 10_000

LOWER, UPPER, DIGITS = string.ascii_lowercase, string.ascii_uppercase, string.digits
ALPHABETS: Dict[str, str] = {
    "w": LOWER + UPPER + DIGITS + "-_",  # url-safe base64
    "b": LOWER + UPPER + DIGITS + "+/",  # base64
    "a": LOWER + UPPER + DIGITS,
    "l": LOWER + UPPER,
    "s": LOWER + DIGITS,
    "u": UPPER + DIGITS,
    "t": UPPER + "234567",  # base32
    "h": "0123456789abcdef",
    "H": "0123456789ABCDEF",
    "d": DIGITS,
}
UUID = "{h8}-{h4}-{h4}-{h4}-{h12}"
CREDENTIALS = """
1Password A3-{u6}-{u6}-{u5}-{u5}-{u5}-{u5}
1Password ops_eyJ{b250}
Adafruit aio_{a28}
Adobe p8e-{a32}
age AGE-SECRET-KEY-1{u58}
Aiven AVNS_{w19}
Airtable pat{a14}.{h64}
Alibaba LTAI{a20}
Amazon AKIA{t16}
Amazon ASIA{t16}
Amazon ABIA{t16}
Amazon-Bedrock ABSK{b109}
Anthropic sk-ant-api03-{w93}AA
Anthropic sk-ant-oat01-{w95}
Anthropic sk-ant-admin01-{w93}AA
Artifactory AKCp{a69}
Artifactory cmVmd{a59}
Atlassian ATATT3{w186}
Azure {a3}8Q~{w31}
Bitbucket ATBB{a32}
Bitbucket BBDC-{a44}
Buildkite bkua_{h40}
Cast-AI castai_v1_{a64}_{a8}
Cerebras csk-{s48}
Chargebee live_{a32}
Chargebee test_{a34}
Chief-Tools ctp_{a36}
CircleCI CCIPAT_{a22}_{h40}
ClickHouse 4b1d{a38}
Clojars CLOJARS_{s60}
Cloudflare v1.0-{h24}-{h146}
Contentful CFPAT-{w43}
crates.io cio{a32}
Databricks dapi{h32}
Databricks dapi{h32}-2
Defined-Networking dnkey-{w26}-{w52}
DigitalOcean dop_v1_{h64}
DigitalOcean doo_v1_{h64}
DigitalOcean dor_v1_{h64}
Discord MT{a22}.{w6}.{w38}
Django django-insecure-{a50}
Docker dckr_pat_{w27}
Docker dckr_oat_{w32}
Doppler dp.pt.{a43}
Doppler dp.st.dev.{a43}
Dropbox sl.{w135}
Duffel duffel_test_{w43}
Dynatrace dt0c01.{u24}.{u64}
EasyPost EZAK{a54}
EasyPost EZTK{a54}
Facebook EAAC{a120}
Figma figd_{w40}
Fireworks fw_{a24}
Flutterwave FLWSECK_TEST-{h32}-X
Fly.io fo1_{w43}
Fly.io fm2_{b120}
Frame.io fio-u-{w64}
GitHub ghp_{a36}
GitHub gho_{a36}
GitHub ghu_{a36}
GitHub ghs_{a36}
GitHub ghr_{a36}
GitHub github_pat_{a22}_{a59}
GitLab glpat-{w20}
GitLab gldt-{w20}
GitLab glrt-{w20}
GitLab glptt-{h40}
GitLab glcbt-{h2}_{w20}
GitLab glft-{w20}
GitLab glimt-{w25}
GitLab glagent-{w50}
GitLab gloas-{w64}
GitLab glsoat-{w20}
GitLab glffct-{w20}
GitLab GR1348941{w20}
Google AIza{w35}
Google GOCSPX-{w28}
Google ya29.{w140}
Google 1//0{w60}
Grafana glsa_{a32}_{h8}
Grafana glc_{b100}
Groq gsk_{a52}
Harness pat.{w22}.{a24}.{a20}
Heroku HRKU-AA{w58}
Honeycomb hcaik_{s58}
HoneyHive hh_{a32}
HubSpot pat-na1-{uuid}
HuggingFace hf_{l34}
HuggingFace api_org_{l34}
Infracost ico-{a32}
Intra42 s-s4t2ud-{h64}
Jina jina_{a60}
JWT eyJ{a30}.eyJ{a60}.{w43}
LangSmith lsv2_pt_{h32}_{h10}
LangSmith lsv2_sk_{h32}_{h10}
Langfuse sk-lf-{uuid}
LaunchDarkly sdk-{uuid}
Linear lin_api_{a40}
Lob live_{h35}
Mailchimp {h32}-us12
Mailgun key-{h32}
Mapbox sk.eyJ{a60}.{w22}
MaxMind {a6}_{a29}_mmk
MongoDB mdb_sa_sk_{w40}
Neon napi_{s64}
Netlify nfp_{a36}
NewRelic NRAK-{u27}
NewRelic NRII-{w32}
Notion ntn_{d11}{a35}
Notion secret_{a43}
npm npm_{a36}
NuGet oy2{s43}
NVIDIA nvapi-{w64}
Octopus API-{u26}
OpenAI sk-{a22}
OpenAI sk-{a20}T3BlbkFJ{a20}
OpenAI sk-proj-{w74}T3BlbkFJ{w74}
OpenAI sk-svcacct-{w58}T3BlbkFJ{w58}
OpenRouter sk-or-v1-{h64}
OpenShift sha256~{w43}
PayPal access_token$production${s16}${h32}
Braintree access_token$sandbox${s16}
Perplexity pplx-{a48}
Pinecone pcsk_{a6}_{a60}
Plaid access-sandbox-{uuid}
PlanetScale pscale_tkn_{w43}
PlanetScale pscale_pw_{w43}
PlanetScale pscale_oauth_{w43}
PostHog phx_{a43}
Postman PMAK-{h24}-{h34}
Prefect pnu_{a36}
Pulumi pul-{h40}
PyPI pypi-AgEIcHlwaS5vcmc{w70}
Razorpay rzp_live_{a14}
Readme rdme_{s70}
Render rnd_{a28}
Replicate r8_{a37}
RubyGems rubygems_{h48}
RunPod rpa_{u40}
Scaleway SCW{u17}
Scalingo tk-us-{w48}
SendGrid SG.{w22}.{w43}
Sendinblue xkeysib-{h64}-{a16}
Sentry sntryu_{h64}
Sentry sntrys_eyJ{b120}_{b43}
Settlemint sm_pat_{a16}
Shippo shippo_live_{h40}
Shopify shpat_{h32}
Shopify shpss_{h32}
Slack xoxb-{d12}-{d12}-{a24}
Slack xoxp-{d12}-{d12}-{d12}-{h32}
Slack xapp-1-{u11}-{d13}-{h64}
Slack xoxe.xoxp-1-{u163}
Slack xoxe-1-{u146}
SonarQube sqp_{h40}
Sourcegraph sgp_{h16}_{h40}
Sourcegraph sgp_{h40}
Square sq0atp-{w22}
Square sq0csp-{w43}
Square EAAA{w60}
Stripe sk_live_{a24}
Stripe rk_live_{a24}
Stripe sk_test_{a99}
Stripe whsec_{b32}
Supabase sbp_{h40}
Supabase sb_secret_{a31}
Tailscale tskey-auth-{a17}-{a32}
Tavily tvly-{a32}
Telegram {d10}:AA{w33}
Tencent AKID{a32}
Terraform {a14}.atlasv1.{w67}
Together tgp_v1_{w43}
Twilio SK{h32}
Typeform tfp_{w59}
Vault hvs.{w90}
Vault hvb.{w138}
Vault s.{a24}
Vercel vcp_{a56}
Voyage pa-{w43}
W&B wandb_v1_{w60}
xAI xai-{a80}
Yandex AQVN{w36}
Yandex t1.{w40}.{w86}
"""
FORMS = [line.split(" ", 1) for line in CREDENTIALS.strip().splitlines()]
PLACES: List[Callable[[str], str]] = [
    lambda key: key,
    lambda key: f"use {key} for that",
    lambda key: f'{{"note": "{key}"}}',
    lambda key: f"first\\n{key}\\nlast",
    lambda key: f"é: <{key}>, ",
]


def drawn(form: str, rand: random.Random) -> str:
    """A random key of this form."""
    return re.sub(
        r"\{(\w)(\d+)\}",
        lambda field: "".join(rand.choices(ALPHABETS[field.group(1)], k=int(field.group(2)))),
        form.replace("{uuid}", UUID),
    )


def test_a_key_that_has_another_vendors_beginning_inside_is_removed_as_a_whole() -> None:
    key = "sk-ant-admin01-wTpZWajEVNdzl7phR0yWkelnYQuFIW241_hf_9G2iBS4OrSgw9qf9FYkQWz6vWZzio-MOB5qcXraq7W3tBZ8"
    assert clean_text(f"use {key} for that", LIMIT) == "use [redacted: api key] for that"


@pytest.mark.parametrize(("vendor", "form"), FORMS)
def test_a_vendors_key_is_found(vendor: str, form: str) -> None:
    rand = random.Random(form)
    missed = []
    for number in range(DRAWN):
        key = drawn(form, rand)
        text = clean_text(PLACES[number % len(PLACES)](key), LIMIT)
        if key in text or key[-10:] in text or "[redacted" not in text:
            missed.append((key, text))
    assert len(missed) <= DRAWN * MISSED, f"{vendor}: {len(missed)} of {DRAWN}, such as {missed[:2]}"
