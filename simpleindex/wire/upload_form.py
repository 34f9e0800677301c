"""The fields of the legacy upload form, which every uploading tool sends in its own way."""

import base64
import binascii
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import parse_qsl

from simpleindex_storage.errors import Refused
from simpleindex_storage.metadata import LIST_FIELDS, SINGLE_FIELDS, stated
from simpleindex_storage.model import Fields, Upload
from simpleindex_storage.names import (
    DistKind,
    IndexName,
    ProjectName,
    parse_project_name,
    parse_version,
)

_CONTROL_FIELDS = frozenset({":action", "protocol_version", "filetype", "attestations"})

_DIGEST_FIELDS = {
    "sha256_digest": ("sha256", 64),
    "md5_digest": ("md5", 32),
    "blake2_256_digest": ("blake2b_256", 64),
}
"""The algorithm, and how many hex digits it has."""

# The names are PyPI's, which devpi keeps; some tools call the same by the header's name or by
# pkginfo's attribute.
_OTHER_NAMES = {
    "classifier": "classifiers",
    "license_files": "license_file",  # packaging
    "platforms": "platform",  # devpi-client (pkginfo)
    "project_url": "project_urls",
    "provides_extra": "provides_extras",  # twine, uv, flit, hatch
    "supported_platforms": "supported_platform",  # devpi-client (pkginfo)
}

_FIELDS = _CONTROL_FIELDS | _DIGEST_FIELDS.keys() | SINGLE_FIELDS | LIST_FIELDS

_EXTENSIONS: Mapping[str, tuple[str, ...]] = {
    DistKind.WHEEL: (".whl",),
    DistKind.SDIST: (".tar.gz", ".zip"),
    DistKind.EGG: (".egg",),
}

_HEX = re.compile(r"[0-9a-f]*")

_URLENCODED_FIELDS_MAX = 2000


class Action(StrEnum):
    """What a form is for, in its field `:action`."""

    FILE = "file_upload"
    DOCUMENTATION = "doc_upload"
    SUBMIT = "submit"


@dataclass(frozen=True, slots=True)
class DocumentationForm:
    """What a form says of a zip of pages."""

    project: ProjectName
    version: str | None
    """None: the highest that there is."""


@dataclass(frozen=True, slots=True)
class SubmitForm:
    """A release without a file."""

    project: ProjectName
    display_name: str
    version: str
    fields: Fields


def action_of(fields: Iterable[tuple[str, str]]) -> Action:
    """What a form is for. Raises Refused."""
    return _Form(fields, subject="upload form").action()


def parse_documentation(fields: Sequence[tuple[str, str]], filename: str) -> DocumentationForm:
    """The form that goes with a zip of pages. Raises Refused."""
    subject = f"documentation {filename[:200]!r}"
    form = _Form(fields, subject=subject)
    project = parse_project_name(form.required("name"))
    if not filename.lower().endswith(".zip"):
        raise Refused(subject, "documentation is uploaded as a zip, NAME-VERSION.doc.zip")
    if not re.sub(r"[-_.]+", "-", filename).lower().startswith(project):
        raise Refused(subject, f"its name does not begin with that of the project, {project}")
    has_version = any(name == "version" for name, _ in fields)
    version = form.required("version") if has_version else None
    return DocumentationForm(project, version if version is None else parse_version(version))


def parse_submit(fields: Iterable[tuple[str, str]]) -> SubmitForm:
    """The form that registers a release. Raises Refused."""
    form = _Form(fields, subject="registration")
    name = form.required("name")
    project, version = parse_project_name(name), parse_version(form.required("version"))
    return SubmitForm(project, name, version, form.metadata())


def parse_urlencoded(body: bytes) -> list[tuple[str, str]]:
    """The fields of a form without a file. Raises Refused."""
    try:
        return parse_qsl(
            body.decode("ascii"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=_URLENCODED_FIELDS_MAX,
        )
    except ValueError:  # of which UnicodeDecodeError is one
        raise Refused("upload form", "its urlencoded body is malformed, or too long") from None


def parse(
    fields: Iterable[tuple[str, str]],
    filename: str,
    *,
    index: IndexName,
    sender: str,
    signature: bytes | None = None,
) -> Upload:
    """What a form says of a file. Raises Refused for what is missing, wrong or contradictory.

    Unknown fields are ignored, and so are empty ones and those that say `UNKNOWN`. Of a
    descriptive field that has one value and is given several, the last counts; those that decide
    something may not differ.
    """
    form = _Form(fields, subject=f"upload of {filename[:200]!r}")
    if form.action() is not Action.FILE:
        raise Refused(f"upload of {filename[:200]!r}", "its ':action' is not 'file_upload'")
    form.check_filetype(filename)
    return Upload(
        index=index,
        filename=filename,
        sender=sender,
        name=form.required("name"),
        version=form.required("version"),
        promised=form.promised(),
        fields=form.metadata(),
        signature=signature,
        provenance=form.provenance(index, sender),
    )


class _Form:
    """The fields by the names that we know them by, each with the texts that say something."""

    def __init__(self, fields: Iterable[tuple[str, str]], *, subject: str) -> None:
        self._subject = subject
        self._texts: dict[str, list[str]] = {}
        for given_name, given in fields:
            name = _OTHER_NAMES.get(given_name, given_name)
            if name in _FIELDS and (text := stated(name, given)) is not None:
                self._texts.setdefault(name, []).append(text)

    def action(self) -> Action:
        action = self._only(":action")
        if action is None:
            raise self._refused("the form has no ':action'; send 'file_upload' there")
        protocol = self._only("protocol_version")
        if protocol not in (None, "1"):
            raise self._refused(f"protocol_version is {protocol[:80]!r}; only 1 is known")
        try:
            return Action(action)
        except ValueError:
            raise self._refused(
                f"':action' is {action[:80]!r}; those of forms here are {', '.join(Action)}"
            ) from None

    def check_filetype(self, filename: str) -> None:
        filetype = self._only("filetype")
        if filetype is None:
            return
        extensions = _EXTENSIONS.get(filetype)
        if extensions is None:
            raise self._refused(
                f"filetype is {filetype[:80]!r}; only wheels (bdist_wheel) and source "
                "distributions (sdist) are kept here, and eggs (bdist_egg) where an index "
                "allows them"
            )
        if not filename.endswith(extensions):
            raise self._refused(
                f"filetype is {filetype!r}, but the file's name does not end in "
                f"{' or '.join(extensions)}"
            )

    def required(self, field: str) -> str:
        text = self._only(field)
        if text is None:
            raise self._refused(f"the form has no {field!r}; it must be there")
        return text

    def promised(self) -> dict[str, str]:
        promised = {}
        for field, (algorithm, digits) in _DIGEST_FIELDS.items():
            digests = [self._digest(field, text, digits) for text in self._texts.get(field, ())]
            if digests:
                promised[algorithm] = self._same(field, digests)
        return promised

    def metadata(self) -> Fields:
        metadata: dict[str, str | tuple[str, ...]] = {}
        for name, texts in self._texts.items():
            if name == "keywords":
                metadata[name] = ",".join(texts)  # setup.py sends one field for each
            elif name in SINGLE_FIELDS:
                metadata[name] = texts[-1]
            elif name in LIST_FIELDS:
                metadata[name] = tuple(texts)
        return metadata

    def provenance(self, index: IndexName, sender: str) -> bytes | None:
        """The attestations as an object of PEP 740, which wants to know who published the file.

        All that is known here is the account.
        """
        text = self._only("attestations")
        if text is None:
            return None
        try:
            attestations = json.loads(text)
            if isinstance(attestations, list):
                publisher = {"kind": "account", "claims": None, "index": index, "user": sender}
                bundle = {"publisher": publisher, "attestations": attestations}
                document = {"version": 1, "attestation_bundles": [bundle]}
                return json.dumps(document).encode() if attestations else None
        except (ValueError, RecursionError):
            pass
        raise self._refused("its 'attestations' are not a list in JSON; send PEP 740's, or none")

    def _only(self, field: str) -> str | None:
        texts = self._texts.get(field)
        return self._same(field, texts) if texts else None

    def _same(self, field: str, texts: list[str]) -> str:
        if len(set(texts)) > 1:
            raise self._refused(f"the form has {field!r} more than once, and they differ")
        return texts[0]

    def _digest(self, field: str, text: str, digits: int) -> str:
        if len(text) == digits and _HEX.fullmatch(text.lower()):
            return text.lower()
        if field == "md5_digest" and (digest := _md5_of_base64(text)) is not None:
            return digest
        raise self._refused(f"{field} is {text[:80]!r}, which is not {digits} hex digits")

    def _refused(self, rule: str) -> Refused:
        return Refused(self._subject, rule)


def _md5_of_base64(text: str) -> str | None:
    """PyPI's documentation has asked for urlsafe base64 there; its padding may be missing."""
    try:
        digest = base64.b64decode(text.rstrip("=") + "==", altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    return digest.hex() if len(digest) == 16 else None
