"""The rules of gitleaks and detect-secrets, by their names: what each looks for is redacted, or a reason stands here.

Rules for keys with a prefix are covered by the forms in tests/property/test_privacy_vendor_keys.py. Those that need
the vendor's name beside the key are below: the name of a variable or a header, and the form of its value.
"""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest

from honeyhive_litellm._privacy.sanitize import clean_text

from ..property.test_privacy_vendor_keys import UUID, drawn

PAGE = Path(__file__).parents[2] / "docs" / "explanation" / "privacy.md"

BY_NAME = """
adafruit-api-key ADAFRUIT_IO_KEY={s32}
airtable-api-key airtable_api_key = "{a17}"
algolia-api-key ALGOLIA_API_KEY={h32}
alibaba-secret-key alibaba_secret_key="{a30}"
asana-client-secret asana_client_secret: {h32}
atlassian-api-token JIRA_API_TOKEN={a24}
beamer-api-token beamer_token = "b_{w44}"
bitbucket-client-secret bitbucket_client_secret={w64}
bittrex-secret-key BITTREX_SECRET_KEY={h32}
cisco-meraki-api-key meraki_api_key: {h40}
cloudflare-api-key CLOUDFLARE_API_KEY={w40}
cloudflare-global-api-key cloudflare_global_api_key="{h37}"
codecov-access-token CODECOV_TOKEN="{s32}"
cohere-api-token CO_API_KEY={a40}
coinbase-access-token coinbase_access_token={s64}
confluent-secret-key CONFLUENT_SECRET_KEY={a64}
contentful-delivery-api-token contentful_access_token="{w43}"
curl-auth-header curl -H "Authorization: Bearer {a32}" https://x.io
curl-auth-user curl -u "joe:{a20}" https://x.io
database-password DB_PASSWORD={a16}
datadog-access-token DATADOG_API_KEY={h40}
discord-api-token discord_api_token="{h64}"
discord-client-secret discord_client_secret={w32}
droneci-access-token DRONECI_ACCESS_TOKEN={s32}
dropbox-api-token dropbox_api_secret={s15}
etsy-access-token ETSY_ACCESS_TOKEN={s24}
facebook-secret facebook_app_secret={h32}
fastly-api-token FASTLY_API_TOKEN={w32}
finicity-client-secret finicity_client_secret={s20}
finnhub-access-token FINNHUB_API_KEY={s20}
flickr-access-token flickr_access_token={s32}
freemius-secret-key 'secret_key' => 'sk_{a29}'
freshbooks-access-token freshbooks_access_token={s64}
generic-api-key my_api_key = "{a32}"
gitlab-session-cookie Cookie: _gitlab_session={h32}
gitter-access-token gitter_access_token={w40}
grafana-api-key Authorization: Bearer eyJrIjoi{a80}
hashicorp-tf-password administrator_login_password = "{a16}"
heroku-api-key HEROKU_API_KEY={uuid}
hubspot-api-key HUBSPOT_API_KEY={uuid}
intercom-api-key intercom_api_key="{w60}"
jfrog-api-key JFROG_API_KEY={a73}
jfrog-identity-token jfrog_identity_token={a64}
jwt-base64 ZXlKaGJHY2lPaU{a60}
kraken-access-token KRAKEN_API_SECRET={b86}
kucoin-secret-key kucoin_secret_key={uuid}
launchdarkly-access-token LAUNCHDARKLY_ACCESS_TOKEN={w40}
linear-client-secret linear_client_secret={h32}
looker-client-secret looker_client_secret={a24}
linkedin-client-secret linkedin_client_secret={a16}
mailgun-signing-key MAILGUN_SIGNING_KEY={h32}-{h8}-{h8}
mattermost-access-token mattermost_access_token={s26}
messagebird-api-token messagebird_api_token={a25}
microsoft-teams-webhook https://x.webhook.office.com/webhookb2/{uuid}@{uuid}/IncomingWebhook/{h32}/{uuid}
netlify-access-token NETLIFY_AUTH_TOKEN={w43}
new-relic-user-api-id NEW_RELIC_API_KEY={s64}
nuget-config-password <add key="ClearTextPassword" value="{a16}" />
nytimes-access-token nytimes_api_key={w32}
okta-access-token OKTA_API_TOKEN=00{w40}
plaid-secret-key PLAID_SECRET_KEY={h30}
privateai-api-token private_ai_api_key={s32}
rapidapi-access-token X-RapidAPI-Key: {a50}
sendbird-access-token sendbird_api_token={h40}
sentry-access-token SENTRY_AUTH_TOKEN={h64}
sidekiq-sensitive-url https://{h8}:{h8}@gems.contribsys.com/
slack-webhook-url https://hooks.slack.com/services/T{u8}/B{u8}/{a24}
snyk-api-token SNYK_TOKEN={uuid}
sonar-api-token SONAR_TOKEN={w40}
squarespace-access-token squarespace_access_token={uuid}
sumologic-access-token sumo_access_key={a64}
travisci-access-token travis_access_token={a22}
twitch-api-token twitch_client_secret={s30}
twitter-access-secret twitter_access_token_secret={a45}
twitter-bearer-token twitter_bearer_token=AAAAAAAAAAAAAAAAAAAAAA{a80}
yandex-aws-access-token yandex_secret_key=YC{w38}
zendesk-secret-key zendesk_secret_key={s40}
detect-secrets:azure_storage_key AccountKey={b86}==
detect-secrets:basic_auth https://joe:{a12}@example.com/x
detect-secrets:cloudant cloudant_password={h64}
detect-secrets:ibm_cloud_iam ibm_cloud_iam_api_key={w44}
detect-secrets:ibm_cos_hmac cos_hmac_secret_access_key={h48}
detect-secrets:keyword db_pass = "{a12}"
detect-secrets:private_key PuTTY-User-Key-File-2: ssh-rsa\\nPrivate-Lines: 2\\n{b64}\\n{b40}=
detect-secrets:softlayer https://api.softlayer.com/soap/v3/{s64}
detect-secrets:npm //registry.npmjs.org/:_authToken={uuid}
"""

IDS = """
adobe-client-id asana-client-id bitbucket-client-id discord-client-id linkedin-client-id messagebird-client-id
plaid-client-id sendbird-access-id sumologic-access-id kucoin-access-token looker-client-id detect-secrets:twilio(AC)
"""
NOT_REDACTED = {
    **dict.fromkeys(
        ("adyen-api-key", "authress-service-client-access-key", "datafactory-shir-token", "trello-access-token"),
        "no long word has a beginning of its own; redacted behind a name",
    ),
    "braintree-tokenization-key": "public by intention",
    "adyen-client-key": "public by intention",
    "ansible-vault-token": "encrypted",
    **dict.fromkeys(IDS.split(), "an id, no secret"),
    "flutterwave-public-key": "public by intention",
    "lob-pub-api-key": "public by intention",
    "facebook-access-token": "an app's id and a token: digits and a sign are no form; redacted behind a name",
    "twitter-access-token": "digits and a sign are no form; redacted behind a name",
    "sidekiq-secret": "a variable whose name says nothing; redacted in a URL",
    "sourcegraph-access-token(40 hexadecimal digits)": "the form of every Git commit; redacted behind a name",
    "pkcs12-file": "a file, no text",
    "detect-secrets:ip_public": "personal data: `redact`",
    "detect-secrets:high_entropy_strings": "random text without a name may be anything",
    "detect-secrets:artifactory(AP)": "two letters and eight others are words, too",
}


@pytest.mark.parametrize("line", BY_NAME.strip().splitlines(), ids=lambda line: str(line).split(" ", 1)[0])
def test_what_a_public_rule_looks_for_is_redacted(line: str) -> None:
    rule, form = line.replace("\\n", "\n").split(" ", 1)
    rand = random.Random(rule)
    for _ in range(40):
        text = drawn(form, rand)
        secret = max((word for word in re.findall(r"\w+", text) if word not in form), key=len)[-8:]
        cleaned = clean_text(text, 100_000)
        assert "[redacted" in cleaned and secret not in cleaned, (text, cleaned)


def test_every_exception_has_a_reason_and_stands_on_the_page() -> None:
    assert all(NOT_REDACTED.values())
    page = PAGE.read_text(encoding="utf-8")
    rules = {re.sub(r"detect-secrets:|\(.*", "", rule) for rule in NOT_REDACTED.keys() - set(IDS.split())}
    assert [rule for rule in sorted(rules) if f"`{rule}`" not in page] == []
    assert UUID.count("{") == 5
