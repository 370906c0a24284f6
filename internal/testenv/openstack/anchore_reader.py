"""Says of URIs whether Anchore finds what is exactly where they say.

Reads a URI as JSON from each line and answers with a line: true or false. What
Anchore's drivers do is done with Python's own urllib.parse, and for swift with
python-swiftclient's quote and the HTTP client that it uses, up to the request's path.
"""
import json
import sys
import urllib.parse

import requests
import swiftclient.client


def swift_get(container, name):
    """The container and the name that a GET of python-swiftclient asks for."""
    url = 'http://127.0.0.1/v1/AUTH_x/%s/%s' % tuple(
        swiftclient.client.quote(part) for part in (container, name))
    path = requests.Request('GET', url).prepare().path_url
    if not path.startswith('/v1/AUTH_x/'):
        return None
    container, _, name = path[len('/v1/AUTH_x/'):].partition('/')
    return urllib.parse.unquote(container), urllib.parse.unquote(name)


def swift_put(container, name):
    """The same of a PUT, for which swiftclient's service strips the name."""
    name = name.lstrip('/')
    if name[:2] in ('./', '.\\'):
        name = name[2:]
    return swift_get(container, name[1:] if name[:1] == '/' else name)


def readable(uri):
    scheme, _, rest = uri.partition('://')
    host, slash, name = rest.partition('/')
    if '\0' in uri:
        return False
    try:
        parsed = urllib.parse.urlparse(uri, scheme=scheme)
        if parsed.scheme != scheme:
            return False
        if scheme == 'file':
            return parsed.path == rest
        if scheme in ('db', 'db2'):
            return host != '' and (parsed.netloc, parsed.path) == (host, slash + name)
        if (parsed.hostname, parsed.path) != (host, slash + name):
            return False
        if scheme != 'swift':
            return True
        return swift_get(host, name) == swift_put(host, name) == (host, name)
    except (ValueError, requests.exceptions.RequestException):
        return False


for line in sys.stdin:
    print(json.dumps(readable(json.loads(line))))
