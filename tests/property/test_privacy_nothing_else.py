"""What redaction removes is at most a credential and 64 characters around it: all else stays, in its order.

The texts are made of lines of code, prose in several languages, logs, Markdown and data, among them many that mention
a credential's name, an unclosed quote, or the marker of a private key.
"""

from __future__ import annotations

import os

from hypothesis import given, settings
from hypothesis import strategies as st

from honeyhive_litellm._privacy.sanitize import clean, clean_text

LIMIT = 10_000_000
BESIDE = 64
EXAMPLES = int(os.environ.get("HONEYHIVE_TEST_TEXTS", "150"))

LINES = r"""
pw = input('Password: ')
password = getpass.getpass("Password: ")
Enter "password: " and then press the button
print('Enter your password: ', end='')
raise ValueError("bad password: " + reason)
def login(user: str, password: str, token: Optional[str] = None) -> Session:
    self.password = password
    client = Client(api_key=settings.api_key, password=password, token=token)
    return connect(password=read_password(), secret=None, token=null)
const apiKey = process.env.OPENAI_API_KEY;
  password: z.string().min(8).max(64),
  password: string;
  token?: string | null;
$password = $_POST['password'];
if (password === confirmPassword) { submit(); }
api_key: ${{ secrets.API_KEY }}
    api_key = os.environ["OPENAI_API_KEY"]
export TOKEN=$MY_TOKEN PASSWORD=${PASSWORD}
docker run -u 1000:1000 --rm -it image:latest --key value1234
curl -u "$USER:$PASSWORD" https://example.com/api
encryption_key: AES-256
pwd=/home/u1
OLDPWD=/srv/app/releases
secret=None
token=null
chosen_token: " the"
decoded_token='▁world'
{"prompt_tokens": 12, "completion_tokens": 34, "max_tokens": 4096, "key_alias": "team-a"}
{"name": "password", "type": "string", "description": "the user's password"}
{"type": "object", "properties": {"password": {"type": "string"}, "api_key": {"$ref": "#/defs/key"}}}
"required": ["username", "password"],
SECRET_NAMES = ("password", "token", "api_key")
cache_key = f"user:{user_id}:profile"
sort_key: created_at
primary_key=True, foreign_key="user.id"
next_page_token: CAUQAA
eos_token="<|endoftext|>"
The password policy: at least ten characters, one of them a digit.
Secret sauce: tomatoes, garlic, and patience.
The key: the door was never locked. The token: a coin from 1912.
A mention of -----BEGIN PRIVATE KEY----- is no key, and -----END PRIVATE KEY----- neither.
"-----BEGIN RSA PRIVATE KEY-----" in line and "PRIVATE KEY" in text
Look for the header -----BEGIN OPENSSH PRIVATE KEY----- at the start of the file
Authorization: required for all routes
The header Authorization: Bearer of bad news
Set the cookie: it expires after an hour
Passwort: siehe Anhang, es wird beim ersten Anmelden geändert.
Geben Sie Ihr "Kennwort: " ein und drücken Sie dann die Eingabetaste
Mot de passe : à changer à la première connexion
La contraseña: debe tener al menos diez caracteres.
Пароль: введите его в поле ниже
Он сказал "пароль: " и замолчал
密码：请输入您的密码，然后继续
パスワード：次の画面で入力してください
Senha: deve ser trocada no primeiro acesso
# Configuration of tokens
| name | password | note |
|---|---|---|
| joe | required | see below |
name,password,token
joe,required,optional
**Password:** see the vault. *Token:* none.
- `password: str` is the parameter, `api_key=None` its default
> "password: " is what the prompt says
2024-01-02T10:11:12Z INFO auth: password changed for user 42
2024-01-02 10:11:12,123 WARNING token expired: renewing, key=session:42
[12:30:45] GET /login?next=/home&lang=de 200 12ms token=none
level=info msg="secret rotated" secret=unset duration=12ms
PASS: test_login2 (0.02s)  FAIL: test_logout
See https://example.com/path?page=2&q=cats#top and https://medium.com/@joe/title
http://backend:8080/users/joe@example.com is in the log
git clone git@github.com:org/repo.git && cd repo
<input type="password" name="password" placeholder="Password: ">
<label for="token">Token: </label>
import base64, re  # basic things
npm_package_version_2_10_lock sk-button--primary hh_session task-list-of-things
Basic JavaScript and Bearer of news
for key, value in pairs: print(key, value)
x = {"key": "value", "token": "hello", "secret": True}
“Password: ” is what the prompt says
It's the user's password: that's all
a = 1; b = 2; c = a + b
SELECT password FROM users WHERE token = 'x' AND id = 1;
aws_secret_access_key: !Ref MySecret
password: "{{ vault_password }}"
password: <your password here>
auth: true
pass
""".strip("\n").split("\n")  # fmt: skip

TAIL = st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789", min_size=24, max_size=40).map(
    lambda text: f"q7{text}9Z"
)
FORMS = st.sampled_from(
    [
        "password={}", "password: {}", 'password = "{}"', "PASSWORD={};", '{{"api_key": "{}"}}', "{{'token': '{}'}}",
        "Authorization: Bearer {}", "sk-proj-{}", "ghp_{}", "https://me:{}@example.com/x", "**Password:** {}",
        "GITHUB_TOKEN={}", "X-Vault-Token: {}", "--password {}", "contraseña: {}", "密码：{}", "password: |\n  {}\n",
        "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----", '{{"name": "API_KEY", "value": "{}"}}',
        "https://x.io/?a=1&key={}&b=2", "curl -u me:{} https://x.io", "Cookie: session={}; theme=dark",
    ]
)  # fmt: skip
TEXTS = st.lists(st.sampled_from(LINES), max_size=12).map("\n".join)


@settings(max_examples=EXAMPLES, deadline=None)
@given(TEXTS, st.sampled_from(["\n", " ", "\r\n", "\n\n"]))
def test_text_without_a_credential_stays_as_it_is(text: str, end: str) -> None:
    text = text.replace("\n", end)
    assert clean_text(text, LIMIT) == text
    assert clean({"content": [text]}, LIMIT) == {"content": [text]}


@settings(max_examples=EXAMPLES, deadline=None)
@given(TEXTS, FORMS, TAIL, TEXTS, st.sampled_from(["\n", " ", "\n\n"]))
def test_only_the_credential_and_little_beside_it_is_removed(
    head: str, form: str, tail: str, rest: str, end: str
) -> None:
    before, after = (part.replace("\n", end) for part in (head + "\n", "\n" + rest))
    text = before + form.format(tail) + after
    cleaned = clean_text(text, LIMIT)
    assert tail not in cleaned
    start, stop = text.index(tail), text.index(tail) + len(tail)
    assert cleaned.startswith(text[: max(start - BESIDE, 0)])
    assert cleaned.endswith(text[stop + BESIDE :])


def test_an_unclosed_value_ends_with_its_line() -> None:
    code = "\n".join(LINES) * 10
    for opening in (
        "pw = input('Password: ')",
        'Enter "password: " and then',
        'password: "',
        "{'password': '",
        "```password: ",
    ):
        assert clean_text(f"{opening}\n{code}", LIMIT).endswith(code)
