"""A worker for remote functions: python3 worker.py PORT SECRET-FILE"""
import base64, hashlib, hmac, json, sys, threading, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SECRET = open(sys.argv[2], "rb").read().strip()

def fail(args, job):
    raise RuntimeError("the mail server is down")

# The functions of this worker. An id is the same in each attempt of a job: hand it on as an idempotency key.
FUNCTIONS = {
    "mail:send": lambda args, job: {"sent": args["to"], **job},
    "mail:fail": fail,
    "mail:slow": lambda args, job: time.sleep(args["ms"] / 1000) or "slept",
}
lock = threading.Lock()
running = set()  # ids: an attempt that comes while an earlier one runs is declined
seen = {}  # (app, id, attempt) and when: one that comes again is a copy

def sign(text):
    return base64.urlsafe_b64encode(hmac.new(SECRET, text, hashlib.sha256).digest()).rstrip(b"=").decode()

def verified(headers, body):
    """What the request asks for, or None if it is not signed, too old, or a copy."""
    try:
        ask = json.loads(body)
        attempt, stamp = headers["x-carillon-attempt"], headers["x-carillon-timestamp"]
        lines = "\n".join(["carillon/1", ask["instanceName"], ask["id"], attempt, stamp, ""]).encode()
        if not hmac.compare_digest(headers["x-lunora-scheduler-signature"], sign(body)):
            return None
        if not hmac.compare_digest(headers["x-carillon-signature"], sign(lines + body)):
            return None
        now = time.time()
        if abs(now - int(stamp)) > 300:
            return None
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    with lock:
        for old in [key for key, at in seen.items() if now - at > 600]:
            del seen[old]
        key = (ask["instanceName"], ask["id"], attempt)
        if key in seen:
            return None
        seen[key] = now
    return {**ask, "attempt": int(attempt)}

def answer(headers, body):
    ask = verified(headers, body)
    if ask is None:
        return 403, {"error": {"code": "FORBIDDEN", "message": "not signed, too old, or a copy"}}
    function = FUNCTIONS.get(ask.get("functionPath"))
    if function is None:
        return 404, {"error": {"code": "FUNCTION_NOT_FOUND", "message": str(ask.get("functionPath"))}}
    key = (ask["instanceName"], ask["id"])
    with lock:
        if key in running:
            return 409, {"error": {"code": "DISPATCH_IN_PROGRESS", "message": "an earlier attempt runs"}}
        running.add(key)
    try:
        return 200, {"result": function(ask["args"], {"app": key[0], "id": key[1], "attempt": ask["attempt"]})}
    except Exception as err:
        return 500, {"error": {"code": "FAILED", "message": str(err)}}
    finally:
        with lock:
            running.discard(key)

class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        known = self.path == "/_lunora/scheduler/dispatch"
        status, out = answer(self.headers, body) if known else (404, {"error": {"code": "NOT_FOUND"}})
        text = json.dumps(out).encode()
        self.send_response(status)
        if status == 409:
            self.send_header("x-lunora-dispatch-declined", "1")
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *args):
        pass

server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler)
print("listening on", server.server_port, flush=True)
server.serve_forever()
