"""A producer in another language: the standard library, psql, two SQL functions and three HTTP requests.

   program.py serve <database> <port>
   program.py pay <database> <port> <settle> <invoice> <line to die at, or ''>

   Its database has the functions of PRODUCER_MIGRATION (src/producer/verdict-schema.ts) and
   create table public.invoice (id text primary key, message_id text not null).
"""
import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

if len(sys.argv) not in (4, 7):
    sys.exit(__doc__)
MODE, DATABASE, PORT = sys.argv[1:4]


def sql(script, **values):
    """Runs a script in one transaction; values are quoted by psql itself."""
    command = ["psql", DATABASE, "-XqAt", "-v", "ON_ERROR_STOP=1", "--single-transaction", "-f", "-"]
    for name, value in values.items():
        command += ["-v", f"{name}={value}"]
    return subprocess.run(command, input=script, stdout=subprocess.PIPE, text=True, check=True).stdout.strip()


class CheckBack(BaseHTTPRequestHandler):
    def do_POST(self):
        question = json.loads(self.rfile.read(int(self.headers["content-length"])))
        known = re.fullmatch(r"msg_[0-9a-f-]{36}", question["messageId"])
        if not known:
            return self.send_error(400)
        verdict = sql("select settle_producer.check_back(:'id');", id=question["messageId"])
        body = json.dumps({"verdict": verdict}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def post(url, body=None, **headers):
    data = json.dumps(body).encode() if body is not None else b""
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    if body is not None:
        names["content-type"] = "application/json"
    request = urllib.request.Request(url, data=data, headers=names, method="POST")
    with urllib.request.urlopen(request, timeout=5) as response:
        return json.load(response)


def pay(settle, invoice, line):
    def die_at(here):
        if line == here:
            os.kill(os.getpid(), signal.SIGKILL)

    message = post(
        f"{settle}/v1/messages",
        {
            "type": "inventory.deduct",
            "payload": {"orderId": invoice, "items": [{"sku": "book", "quantity": 1}]},
            "checkBackUrl": f"http://127.0.0.1:{PORT}/check-back",
            "immunityMs": 2000,
        },
        idempotency_key=invoice,
    )["messageId"]
    die_at("after prepare")
    # the verdict first: a check-back that comes meanwhile waits for this transaction
    sql(
        "select settle_producer.commit_message(:'message');"
        "insert into public.invoice (id, message_id) values (:'invoice', :'message');",
        message=message,
        invoice=invoice,
    )
    die_at("after commit, before confirm")
    post(f"{settle}/v1/messages/{message}/confirm")
    die_at("after confirm")


if MODE == "serve":
    server = ThreadingHTTPServer(("127.0.0.1", int(PORT)), CheckBack)
    print("ready", flush=True)
    server.serve_forever()
else:
    pay(*sys.argv[4:7])
