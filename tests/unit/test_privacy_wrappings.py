"""Credentials as files, commands and logs hold them, and texts of the same kinds that hold none.

In the texts KEY stands for a key and PASS for a password. Nothing but what stands for them is removed.
"""

from __future__ import annotations

import json
import re
from typing import Callable

import pytest

from honeyhive_litellm._privacy.sanitize import clean_text

LIMIT = 100_000
KEY = "Wm8H6GWNiRUSEdZ8ecATBY2KMNxm4qZG"
PASS = "Xu7_yP6Ze.kcK9"

CREDENTIALS = r"""
ENV API_TOKEN KEY
ENV DB_PASSWORD PASS
setx OPENAI_API_KEY "KEY"
set -x API_TOKEN KEY
gh secret set API_KEY --body "KEY"
aws configure set aws_secret_access_key KEY
npm config set //registry.npmjs.org/:_authToken KEY
the api_key is KEY
My password is: PASS
Das Kennwort lautet: PASS
set password PASS
username "joe" password "PASS"
storePassword "PASS"; keyAlias "k"
#define WIFI_PASSWORD "PASS"
psk=PASS
ldap_bind_pw: PASS
CREATE USER joe IDENTIFIED BY 'PASS';
ALTER USER joe WITH PASSWORD 'PASS';
SET PASSWORD FOR 'joe'@'%' = 'PASS';
mysql -u root -pPASS shop < dump.sql
mongosh "mongodb://db:27017" -u admin -p PASS
sshpass -p 'PASS' ssh joe@10.0.0.5
docker login -u joe -p PASS registry.example.com
az login --service-principal -u 0000 -p PASS --tenant t
redis-cli -h cache -a PASS ping
zip -P PASS a.zip a.txt
7z x -pPASS a.7z
openssl rsa -passin pass:PASS -in key.pem
echo "PASS" | docker login --username joe --password-stdin
curl -b "session=KEY; theme=dark" https://example.com
sqlplus scott/PASS@ORCL
jdbc:oracle:thin:scott/PASS@//db:1521/ORCL
$password = ConvertTo-SecureString "PASS" -AsPlainText -Force
const API_TOKEN: string = 'KEY';
let api_key: &str = "KEY";
password: Optional[str] = "PASS"
<add key="ApiKey" value="KEY" />
<property name="hibernate.connection.password">PASS</property>
<wsse:Password Type="PasswordText">PASS</wsse:Password>
&lt;password&gt;PASS&lt;/password&gt;
<meta name="csrf-token" content="KEY">
{"cells": [{"source": ["import openai\n", "openai.api_key = \"KEY\"\n"]}]}
"Password:\nPASS\nbye"
Cookie: _gitlab_session=KEY
"""

HARMLESS = r"""
secrets = boto3.client("secretsmanager").get_secret_value(SecretId="prod/db")["SecretString"]
api_key=os.environ.get("OPENAI_API_KEY"), base_url=base_url,
if password := os.Getenv("DB_PASSWORD"); password == "" { log.Fatal("DB_PASSWORD: not set") }
headers = {"Authorization": f"Bearer {token}", "X-Api-Key": api_key}
headers["Authorization"] = "Bearer " + self._token
For example `{"Proxy-Authorization": "Basic <username>:<password>"}`.
user_pass = f"{username}:{password}"
'password' => 'required|string|min:8|confirmed',
joe@10.0.0.5's password:\nLast login: Fri Mar  1 10:00:00 2024
$ mysql -u root -p\nEnter password:\nWelcome
export PASSWORD=$(openssl rand -base64 32)
"dependencies": {"keyv": "4.5.4", "secrets": "1.0.0"}
msgid "Password:"\nmsgstr "Passwort:"\n\nmsgid "Token"\nmsgstr "Token"
"login.password": "Password", "login.forgotPassword": "Forgot your password?", "apiKey": "API key"
api_key: API-Schl\u00fcssel
\u201cPassword: \u201d
OPENAI_API_KEY=<your key>
"api_key": "your-api-key"
api_key="hh_..."
const uri = `mongodb+srv://${user}:${password}@${host}/${db}`;
f"postgresql://{user}:{password}@{host}:{port}/{name}" and postgresql://user:password@localhost/db
password <- readline("Password: "); key <- names(df)[1]; token <- strsplit(x, " ")[[1]]
ACCESS_KEY = 'aws_access_key_id'; REFRESH_TOKEN = "REFRESH_TOKEN"
CHALLENGE_PASSWORD: "challengePassword",
def random_token_generator(request, refresh_token=False):
sig = xp.arange(128); sig = base64_decode(sig)
<a accesskey="p" href="index.html">
CREATE TABLE users (password varchar(128), api_key VARCHAR2(4000), token uuid)
the password hash, the password argon2id, SECRET_KEY environment variable, GPIO_KEY 0x12345678
PASSWORD varchar NOT NULL; SET PASSWORD FOR joe; IDENTIFIED BY VALUES
docker login -u "$USER" -p "$PASSWORD"; mysql -p$PASSWORD; sshpass -p ${PASS} ssh a@b
token: Optional[str] = None, password: str, api_key: str = ""
<string name="password_hint">Password: at least 8 characters</string>
curl -b cookies.txt -c cookies.txt https://example.com
user	auth	last_login\njoe	ldap	2024-03-01\nann	oauth2	2024-03-02
date,pass,fail\n2024-03-01,120,3\ndf.merge(other, on="key", how="left2")
name,password,token\nuuid: 0a1b2c3d, trace_id=4bf92f3577b34da6a3ce929d0e0e4736, span_id=00f067aa0ba902b7
from x import (\n    MissingKey,\n    S3AclAndGrantError,\n)
"""

PLACES = [
    lambda text: text,
    lambda text: json.dumps({"content": text}),
    lambda text: json.dumps({"a": json.dumps({"content": text}, ensure_ascii=False)}),
    lambda text: f"Here it is:\n```\n{text}\n```\nThanks",
]


@pytest.mark.parametrize("form", CREDENTIALS.strip().splitlines())
def test_a_credential_is_found_as_files_and_commands_hold_it(form: str) -> None:
    text = re.sub(r"(?<![A-Z_])KEY(?![A-Z])", KEY, form)
    text = re.sub(r"(?<![A-Z_])PASS(?![A-Z])", PASS, text)
    cleaned = clean_text(f"before\n{text}\nafter", LIMIT)
    assert KEY not in cleaned and PASS not in cleaned
    assert "redacted" in cleaned
    assert cleaned.startswith("before\n") and cleaned.endswith("\nafter")


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("text", HARMLESS.strip().splitlines())
def test_what_only_looks_like_one_stays(text: str, place: Callable[[str], str]) -> None:
    text = place(text.replace("\\n", "\n"))
    assert clean_text(text, LIMIT) == text
