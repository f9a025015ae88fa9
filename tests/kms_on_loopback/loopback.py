"""What the KMSs of the tests share: a server on the loopback interface that answers in JSON, and what it unwraps with PyPI's
`cryptography`."""

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

from cryptography.hazmat.primitives import keywrap, serialization
from cryptography.hazmat.primitives.asymmetric import padding


class Refused(Exception):
    def __init__(self, status, code, message):
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


def pem(private):
    public = private.public_key()
    return public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()


def opened_by(private, wrapped, hash_of):
    return private.decrypt(wrapped, padding.OAEP(padding.MGF1(hash_of()), hash_of(), None))


def unwrapped_by(private, wrapped, hash_of):
    """What stands under a key of AES-256 (KWP) which the RSA key opens; ValueError: it does not unwrap."""
    size = private.key_size // 8
    aes = opened_by(private, wrapped[:size], hash_of)
    if len(aes) != 32:
        raise ValueError("not a key of AES-256")
    try:
        return keywrap.aes_key_unwrap_with_padding(aes, wrapped[size:])
    except keywrap.InvalidUnwrap as why:
        raise ValueError(repr(why)) from why


class Handler(BaseHTTPRequestHandler):
    """A KMS has its own `result`, of the path, the query and the body, and says in `refused` how it tells an error."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, value, *header):
        data = b"" if value is None else json.dumps(value).encode()
        self.send_response(status if data else 204)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        if header:
            self.send_header(*header)
        self.end_headers()
        self.wfile.write(data)

    def handle_one(self):
        url = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            self.answer(200, self.result(unquote(url.path), parse_qs(url.query), json.loads(body or b"{}")))
        except Refused as why:
            self.answer(why.status, self.refused(why))

    def do_GET(self):
        self.handle_one()

    do_PUT = do_POST = do_DELETE = do_GET


def server(handler):
    return ThreadingHTTPServer(("127.0.0.1", 0), handler)


def serve(of):
    """Prints its port, and answers until it is ended."""
    print(of.server_address[1], flush=True)
    of.serve_forever()
