"""The HTTP port of a service: browsers, curl and other languages call the same methods by Connect or gRPC-Web.

`server` and `connection` speak HTTP/1.1, `guard` refuses foreign pages, `site` finds the method, `connect` and
`grpc_web` speak the protocols, `inner` makes the call on the service's own gRPC port, where every rule is kept.
"""

from __future__ import annotations
