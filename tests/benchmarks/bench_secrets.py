"""What ``spidra-cassette check`` finds, beside detect-secrets: ``python tests/benchmarks/bench_secrets.py``.

Each secret of the tests' table stands in a cassette of its own, as vcrpy writes it when nobody takes anything out; each
innocent text does, too. A file counts as found when anything in it is reported. detect-secrets runs with all its
plugins and filters, as its command does. Its own package is asked for: ``pip install detect-secrets``.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path

from detect_secrets.core.scan import scan_file
from detect_secrets.settings import default_settings
from vcr.serialize import serialize
from vcr.serializers import yamlserializer

from pytest_spidra.cassettes.conversion import from_dict, to_vcr
from pytest_spidra.cassettes.format import BASE_URL
from pytest_spidra.cassettes.reading import stored_interactions
from pytest_spidra.secrets.search import find_secrets
from pytest_spidra.traffic.secret_patterns import SECRET_PATTERNS

sys.path.append(str(Path(__file__).parent.parent / "cassettes"))
from test_secret_places import INNOCENT, INNOCENT_FIELDS, OTHERS, REPLIES, REQUESTS, came, sent


def cassette(request, reply):
    """Return a cassette of vcrpy, with nothing taken out but the key's header, which every request has."""
    asked = to_vcr(request, BASE_URL)
    headers = {name: value for name, value in asked.headers.items() if name != "x-api-key"}
    asked = from_dict({"method": asked.method, "uri": asked.uri, "body": asked.body, "headers": headers})
    response = {
        "status": {"code": reply.status, "message": "OK"},
        "headers": {name: [value] for name, value in reply.headers.items()},
        "body": {"string": reply.content},
    }
    return serialize({"requests": [asked], "responses": [response]}, yamlserializer)


ABC = "0123456789abcdefghijABCDEFGHIJ0123456789abcdefghijABCDEFGHIJ0123456789abcdefghijABCDEFGHIJ"
THEIR_FORMS = [  # one of each of detect-secrets' plugins that know a form; in parts, so that nobody takes it for real
    "AKC" + ABC[:12],
    "AKIA" + "QYLPMN5HFIQR7XYA",
    "AccountKey=" + ABC[:86] + "==",
    "MTk4NjIyNDgzNDcxOTI1MjQ4" + ".Cl2FMQ.ZnCjm1XVW7vRze4b7Cq4se7kKWs",
    "ghp_" + ABC[:36],
    "glpat-" + ABC[:20],
    "glrt-" + ABC[:20],
    "eyJhbGciOiJIUzI1NiJ9" + ".eyJzdWIiOiIxMjM0In0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U",
    "0123456789abcdef0123456789abcdef" + "-us12",
    "//registry.npmjs.org/:_authToken=npm_" + ABC[:36],
    "sk-proj" + ABC[:20] + "T3BlbkFJ" + ABC[:20],
    "-----BEGIN RSA PRIVATE KEY-----\n" + ABC,
    "pypi-AgEIcHlwaS5vcmc" + ABC[:80],
    "SG." + ABC[:22] + "." + ABC[:43],
    "xoxb-123456789012-123456789012-" + ABC[10:34],
    "sq0csp-" + ABC[:43],
    "sk_live_" + ABC[:24],
    "110201543" + ":AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw0",
    "SK" + "0123456789abcdef" * 2,
    "https://user:hunter2" + "@internal.example/feed",
]


def ours(file):
    """Whether our command reports anything."""
    pairs = enumerate(stored_interactions(file), 1)
    return any(find_secrets(number, request, response) for number, (request, response) in pairs)


def theirs(file):
    """Whether detect-secrets reports anything."""
    return any(True for _ in scan_file(str(file)))


def cases():
    """Return groups of cassettes, and whether each group holds secrets."""
    named = {
        f"{place}, {kind}": cassette(make(secret), came())
        for place, make in REQUESTS.items()
        for kind, secret in OTHERS.items()
        if place != "header x-api-key"
    }
    seen = {
        f"{place}, {kind}": cassette(sent(), make(secret))
        for place, make in REPLIES.items()
        for kind, secret in OTHERS.items()
    }
    published = {
        row.what: cassette(sent(), came({"items": [{"result": f"a {''.join(row.sample)} b"}]}))
        for row in SECRET_PATTERNS
    }
    forms = {form: cassette(sent(), came({"items": [{"result": f"a {form} b"}]})) for form in THEIR_FORMS}
    texts = {text: cassette(sent(urls=[text]), came({"items": [{"result": text}]})) for text in INNOCENT}
    fields = {
        json.dumps(one): cassette(sent(), came({"items": [{"result": one}]})) for one in INNOCENT_FIELDS
    }
    return {
        ("of forms that detect-secrets knows", True): forms,
        ("in requests, by place or name", True): named,
        ("in replies, by place or name", True): seen,
        ("of a published form, in pages", True): published,
        ("innocent texts", False): texts,
        ("innocent fields", False): fields,
    }


def main():
    """Print the table."""
    out = sys.stdout.write
    out(f"{'cassettes':<36}{'files':>6}  {'spidra-cassette check':>22}  {'detect-secrets':>15}\n")
    seconds = {ours: 0.0, theirs: 0.0}
    with tempfile.TemporaryDirectory() as name, default_settings():
        for (group, guilty), files in cases().items():
            found = {ours: set(), theirs: set()}
            for number, (what, text) in enumerate(files.items()):
                file = Path(name) / f"{number}.yaml"
                file.write_text(text)
                for check, reported in found.items():
                    begun = time.process_time()
                    if check(file):
                        reported.add(what)
                    seconds[check] += time.process_time() - begun
            out(f"{group:<36}{len(files):>6}  {len(found[ours]):>22}  {len(found[theirs]):>15}\n")
            if "-v" in sys.argv:
                missed = (set(files) if guilty else set()) - found[ours]
                out("".join(f"    ours missed   {what}\n" for what in sorted(missed)))
                out("".join(f"    theirs alone  {what}\n" for what in sorted(found[theirs] - found[ours])))
                out(
                    "".join(
                        f"    ours alone    {what}\n"
                        for what in sorted(found[ours] - found[theirs])
                        if not guilty
                    )
                )
    out(f"{'seconds':<42}  {seconds[ours]:>22.2f}  {seconds[theirs]:>15.2f}\n")


if __name__ == "__main__":
    main()
