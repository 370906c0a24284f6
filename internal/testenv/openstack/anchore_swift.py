"""Puts, gets and deletes in Swift as Anchore's driver does, by python-swiftclient.

    python3 anchore_swift.py AUTH_URL USER KEY [PROJECT]

Reads an operation as JSON from each line, {"op": "put", "uri": …, "body": base64},
{"op": "get", "uri": …} or {"op": "delete", "uri": …}, and answers each with a line:
{"body": base64 or null, "error": text or null}. With a PROJECT it authenticates
with version 3.
"""
import base64
import io
import json
import logging
import sys
import urllib.parse

from swiftclient.service import SwiftService, SwiftUploadObject

logging.disable(logging.CRITICAL)


def place(uri):
    parsed = urllib.parse.urlparse(uri, scheme='swift')
    return parsed.hostname, parsed.path[1:]


def act(service, request):
    container, name = place(request['uri'])
    if request['op'] == 'put':
        payload = io.BytesIO(base64.b64decode(request['body']))
        for result in service.upload(container, [SwiftUploadObject(payload, object_name=name)]):
            if result['action'] == 'upload_object':
                return None if result['success'] else str(result['error']), None
        return 'nothing was put', None
    if request['op'] == 'get':
        for result in service.download(container, [name], options={'out_file': '-'}):
            if 'contents' in result:
                return None, b''.join(result['contents'])
            return str(result.get('error')), None
    for result in service.delete(container, [name]):
        if result['action'] == 'delete_object':
            return None if result['success'] else str(result['error']), None
    return 'nothing was done', None


def main(auth_url, user, key, project=None):
    options = {'auth': auth_url, 'user': user, 'key': key, 'retries': 0}
    if project:
        options = {'auth_version': '3', 'os_auth_url': auth_url, 'os_username': user, 'os_password': key,
                   'os_project_name': project, 'os_project_domain_id': 'default', 'os_user_domain_id': 'default',
                   'retries': 0}
    service = SwiftService(options=options)
    for line in sys.stdin:
        try:
            error, body = act(service, json.loads(line))
        except Exception as e:  # whatever Anchore's driver would have failed with
            error, body = '%s: %s' % (type(e).__name__, e), None
        print(json.dumps({'error': error, 'body': base64.b64encode(body).decode() if body is not None else None}))
    # Its threads would keep the interpreter waiting.
    sys.stdout.flush()


main(*sys.argv[1:])
