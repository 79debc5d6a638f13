"""What a command tells its user when it cannot go on; everything else is a bug and shows itself."""

from collections.abc import Iterator
from contextlib import contextmanager

FAILED = 1
MISCONFIGURED = 2
NOT_RUNNING = 3


class CommandError(Exception):
    """The text is for the user and says what to do; `exit_code` is for scripts."""

    def __init__(self, message: str, exit_code: int = FAILED) -> None:
        super().__init__(message)
        self.exit_code = exit_code


@contextmanager
def explained() -> Iterator[None]:
    """Turn what servers and settings raise into a CommandError: a sentence, not a traceback."""
    import psycopg  # noqa: PLC0415  heavy, and `--help` needs none of it
    import redis.exceptions  # noqa: PLC0415

    from shared.embedded.errors import EmbeddedServerError  # noqa: PLC0415
    from shared.errors import ConfigurationError  # noqa: PLC0415

    try:
        yield
    except ConfigurationError as error:
        raise CommandError(str(error), MISCONFIGURED) from error
    except EmbeddedServerError as error:
        raise CommandError(str(error)) from error
    except psycopg.Error as error:
        raise CommandError(f"PostgreSQL: {str(error).strip()}") from error
    except redis.exceptions.RedisError as error:
        raise CommandError(f"Redis: {error}") from error
