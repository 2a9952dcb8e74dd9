"""The web: parse, call one domain function, render."""

from fastapi import FastAPI

from service import settings
from service.web import api, assets, confirming, desk, errors, follow, health, leaving, public
from service.web.door import AccessLog, BodyLimit, SecurityHeaders
from service.web.methods import Methods


def create_app() -> FastAPI:
    """Return the site."""
    app = FastAPI(title="Utskick", docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False)
    # A path belongs to the first that takes it: the site's own names go before the newsrooms'.
    own = (health, assets, confirming, leaving)
    routers = [*(part.router for part in own), *api.routers, *desk.routers, follow.router, public.router]
    for router in routers:
        app.include_router(router)
    app.state.known_routes = [route for router in routers for route in router.routes]
    errors.install(app)
    desk.install(app)
    api.install(app)
    app.add_middleware(BodyLimit)
    app.add_middleware(Methods)
    app.add_middleware(AccessLog)
    app.add_middleware(SecurityHeaders, https=settings.current().site.startswith("https:"))
    return app
