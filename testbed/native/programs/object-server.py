"""
An HTTP server over a heap of Python objects: `object-server.py PORT MIB`.

GET /digest?from=N&count=M walks M objects by their references, beginning with number N, and answers with the
SHA-256 over their texts.
"""
import hashlib
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import parse_qs, urlsplit

TEXT_BYTES = 1024
# A prime, so that a walk leaves the neighbourhood at once and meets every object before any twice.
STRIDE = 7919


class Item:
    __slots__ = ("text", "following")

    def __init__(self, number):
        self.text = hashlib.shake_128(b"%d" % number).hexdigest(TEXT_BYTES // 2)
        self.following = None


def build(mib):
    count = mib * 1024 * 1024 // TEXT_BYTES
    items = [Item(number) for number in range(count)]
    for number, item in enumerate(items):
        item.following = items[(number + STRIDE) % count]
    return items


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        url = urlsplit(self.path)
        query = parse_qs(url.query)
        item = ITEMS[int(query["from"][0])]
        digest = hashlib.sha256()
        for _ in range(int(query["count"][0])):
            digest.update(item.text.encode("latin1"))
            item = item.following
        body = digest.hexdigest().encode("latin1")
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


ITEMS = build(int(sys.argv[2]))
HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
