"""Runs Keystone for tests.

    python3 keystone_server.py FOLDER PORT

FOLDER holds keystone.conf. The server answers on 127.0.0.1:PORT, a thread a
connection.
"""
import os
import sys
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer


class Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True
    request_queue_size = 128
    allow_reuse_address = True

    def server_bind(self):
        # WSGIServer's own asks the DNS for a name, which may take long.
        self.socket.bind(self.server_address)
        self.server_name, self.server_port = self.server_address
        self.setup_environ()


def main(folder, port):
    os.environ['OS_KEYSTONE_CONFIG_FILES'] = os.path.join(folder, 'keystone.conf')
    del sys.argv[1:]  # Keystone would read them
    from keystone.server.wsgi import initialize_public_application
    server = Server(('127.0.0.1', port), WSGIRequestHandler)
    server.set_app(initialize_public_application())
    server.serve_forever()


if __name__ == '__main__':
    main(os.path.abspath(sys.argv[1]), int(sys.argv[2]))
