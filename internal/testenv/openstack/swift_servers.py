"""Runs Swift's servers for tests.

    python3 swift_servers.py FOLDER rings ACCOUNT_PORT CONTAINER_PORT OBJECT_PORT
    python3 swift_servers.py FOLDER serve NAME...

FOLDER holds swift.conf and, for every NAME (account, container, object, proxy,
proxy-keystone), NAME.conf. One interpreter imports Swift and forks a process for
each server, which saves most of the time that starting them takes. All of them
print to this program's output, and end with it; it ends with the first of them.

It is also a module, swift_servers: its cache is a filter that stands in for memcached.
"""
import ctypes
import json
import os
import signal
import sys
import time


class Memory:
    """What the proxy and its filters use of memcached, within one process.

    Values pass through JSON, as they do on their way to memcached: what went in
    as a tuple comes out as a list.
    """

    def __init__(self):
        self.entries = {}

    def set(self, key, value, serialize=True, time=0, **ignored):
        if not serialize:
            stored = value if isinstance(value, bytes) else str(value).encode()
        else:
            stored = json.dumps(value.decode() if isinstance(value, bytes) else value)
        self.entries[key] = (stored, clock() + time if time else float('inf'))

    def get(self, key, raise_on_error=False):
        stored, end = self.entries.get(key, (None, 0))
        if stored is None or end <= clock():
            self.entries.pop(key, None)
            return None
        return stored if isinstance(stored, bytes) else json.loads(stored)

    def incr(self, key, delta=1, time=0):
        value = max(0, int(self.get(key) or 0) + int(delta))
        self.set(key, value, time=time)
        return value

    def decr(self, key, delta=1, time=0):
        return self.incr(key, -int(delta), time)

    def delete(self, key, server_key=None):
        self.entries.pop(key, None)

    def set_multi(self, mapping, server_key, serialize=True, time=0, **ignored):
        for key, value in mapping.items():
            self.set(key, value, serialize, time)

    def get_multi(self, keys, server_key):
        return [self.get(key) for key in keys]


clock = time.time


def cache(global_conf, **local_conf):
    memory = Memory()

    def factory(app):
        def call(env, start_response):
            env['swift.cache'] = memory
            return app(env, start_response)
        return call
    return factory


def rings(folder, ports):
    """Makes rings of one device with one replica."""
    from swift.common.ring import RingBuilder
    for name, port in zip(('account', 'container', 'object'), ports):
        builder = RingBuilder(part_power=2, replicas=1, min_part_hours=0)
        builder.add_dev({
            'region': 1, 'zone': 1, 'weight': 1.0, 'device': 'd1', 'meta': '',
            'ip': '127.0.0.1', 'port': int(port),
            'replication_ip': '127.0.0.1', 'replication_port': int(port)})
        builder.rebalance(seed='1')
        builder.get_ring().save(os.path.join(folder, name + '.ring.gz'))


def serve_one(folder, name):
    from swift.common.wsgi import run_wsgi
    conf = os.path.join(folder, name + '.conf')
    section = name.split('-')[0] + '-server'
    if name == 'object':
        from swift.obj import server
        return run_wsgi(conf, section, verbose=True, global_conf_callback=server.global_conf_callback)
    return run_wsgi(conf, section, verbose=True)


def serve(folder, names):
    # With real threads for the disk, the logger's thread locals are mixed up now
    # and then, which answers a request in thousands with 503.
    os.environ['EVENTLET_THREADPOOL_SIZE'] = '0'
    os.fsync = os.fdatasync = lambda fd: None  # tests do not outlive the machine
    # Imports read swift.conf; it is looked for in /etc/swift unless told before.
    from swift.common import utils
    utils.SWIFT_CONF_FILE = os.path.join(folder, 'swift.conf')
    utils.validate_configuration()
    import swift.account.server  # noqa: F401  imported once, for all of them
    import swift.container.server  # noqa: F401
    import swift.obj.server  # noqa: F401
    import swift.proxy.server  # noqa: F401
    sys.path.insert(0, folder)

    children = {}
    for name in names:
        child = os.fork()
        if child == 0:
            status = 1
            try:
                ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
                status = serve_one(folder, name) or 0
            except SystemExit as end:
                status = end.code if isinstance(end.code, int) else 1
                print(name, 'ends:', end.code, flush=True)
            except BaseException:
                import traceback
                traceback.print_exc()
            finally:
                sys.stdout.flush()
                os._exit(status)
        children[child] = name
    child, status = os.wait()
    print(children[child], 'ended with status', status, flush=True)
    sys.exit(1)  # and the others with it


if __name__ == '__main__':
    os.makedirs(sys.argv[1], exist_ok=True)
    {'rings': rings, 'serve': serve}[sys.argv[2]](os.path.abspath(sys.argv[1]), sys.argv[3:])
