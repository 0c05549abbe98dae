"""HTTP over our channels: a server on uvicorn and a client on aiohttp, with limits, time-outs and drain."""
