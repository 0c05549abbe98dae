"""HTTP over our channels: a server on uvicorn and a client on aiohttp, with limits, time-outs and drain.

    async with WebServer(app, host="0.0.0.0", port=443, tls=context) as server: ...
    answer = await WebClient(tls=context).request("POST", url, headers, content)

Import them from ``quatrefoil.web.server`` and ``quatrefoil.web.client``: each needs the package that it stands on.
"""

from quatrefoil.web.limits import ClientLimits, WebLimits

__all__ = ["ClientLimits", "WebLimits"]
