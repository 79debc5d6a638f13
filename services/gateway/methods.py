"""Which methods a path takes: what `Allow` tells whoever came with another one."""

from __future__ import annotations

from collections.abc import Iterable

from fastapi.routing import APIRoute
from starlette.routing import BaseRoute


class Methods:
    """The methods of every route, by path; the router itself names those of the first that fits."""

    def __init__(self, routes: Iterable[BaseRoute]) -> None:
        self._routes = [route for route in routes if isinstance(route, APIRoute)]

    def of(self, path: str) -> list[str]:
        """List what this path takes, in order; nothing where no route fits.

        A path that is written out is meant before one that only fits a parameter.
        """
        fitting = [route for route in self._routes if route.path_regex.match(path)]
        if not fitting:
            return []
        meant = min(fitting, key=lambda route: len(route.param_convertors)).path
        return sorted(
            {method for route in fitting if route.path == meant for method in route.methods or ()}
        )
