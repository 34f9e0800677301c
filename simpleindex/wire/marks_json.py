"""What maintainers send to mark a release or a project: JSON to values."""

from simpleindex.wire.devpi_json import parse_object
from simpleindex_storage.errors import Refused
from simpleindex_storage.model import ProjectStatus


def parse_yank(body: bytes) -> str | None:
    """`{"yanked": false | true | "reason"}`: None for false, else the reason. Raises Refused."""
    content = parse_object(body)
    match dict(content):
        case {"yanked": False, **rest} if not rest:
            return None
        case {"yanked": True, **rest} if not rest:
            return ""
        case {"yanked": str(reason), **rest} if not rest:
            return reason
    raise Refused("release", 'a JSON object {"yanked": false | true | "reason"} is needed')


def parse_status(body: bytes) -> tuple[ProjectStatus, str | None]:
    """`{"project-status": ..., "reason": ...}`: the status and its reason. Raises Refused."""
    content = dict(parse_object(body))
    status, reason = content.pop("project-status", None), content.pop("reason", None)
    known = [each.value for each in ProjectStatus]
    if content or status not in known or not (reason is None or isinstance(reason, str)):
        raise Refused(
            "project",
            'a JSON object {"project-status": STATUS, "reason": TEXT} is needed, where STATUS is '
            f"one of {', '.join(known)}",
        )
    return ProjectStatus(status), reason
