from trivium.v1 import erasure_pb2 as _erasure_pb2
from trivium.v1 import partition_pb2 as _partition_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ConfigFile(_message.Message):
    __slots__ = ("path", "text")
    PATH_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    path: str
    text: str
    def __init__(self, path: _Optional[str] = ..., text: _Optional[str] = ...) -> None: ...

class PlanRequest(_message.Message):
    __slots__ = ("files",)
    FILES_FIELD_NUMBER: _ClassVar[int]
    files: _containers.RepeatedCompositeFieldContainer[ConfigFile]
    def __init__(self, files: _Optional[_Iterable[_Union[ConfigFile, _Mapping]]] = ...) -> None: ...

class PlanResponse(_message.Message):
    __slots__ = ("base_revision", "changes", "errors", "notices")
    BASE_REVISION_FIELD_NUMBER: _ClassVar[int]
    CHANGES_FIELD_NUMBER: _ClassVar[int]
    ERRORS_FIELD_NUMBER: _ClassVar[int]
    NOTICES_FIELD_NUMBER: _ClassVar[int]
    base_revision: int
    changes: _containers.RepeatedCompositeFieldContainer[Change]
    errors: _containers.RepeatedCompositeFieldContainer[Diagnostic]
    notices: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, base_revision: _Optional[int] = ..., changes: _Optional[_Iterable[_Union[Change, _Mapping]]] = ..., errors: _Optional[_Iterable[_Union[Diagnostic, _Mapping]]] = ..., notices: _Optional[_Iterable[str]] = ...) -> None: ...

class Change(_message.Message):
    __slots__ = ("subject", "reasons", "allowed", "diff", "refusal")
    class Class(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        CLASS_UNSPECIFIED: _ClassVar[Change.Class]
        NEW: _ClassVar[Change.Class]
        COSMETIC: _ClassVar[Change.Class]
        COMPATIBLE: _ClassVar[Change.Class]
        BEHAVIOUR: _ClassVar[Change.Class]
        BREAKING: _ClassVar[Change.Class]
    CLASS_UNSPECIFIED: Change.Class
    NEW: Change.Class
    COSMETIC: Change.Class
    COMPATIBLE: Change.Class
    BEHAVIOUR: Change.Class
    BREAKING: Change.Class
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    CLASS_FIELD_NUMBER: _ClassVar[int]
    REASONS_FIELD_NUMBER: _ClassVar[int]
    ALLOWED_FIELD_NUMBER: _ClassVar[int]
    DIFF_FIELD_NUMBER: _ClassVar[int]
    REFUSAL_FIELD_NUMBER: _ClassVar[int]
    subject: str
    reasons: _containers.RepeatedScalarFieldContainer[str]
    allowed: bool
    diff: str
    refusal: str
    def __init__(self, subject: _Optional[str] = ..., reasons: _Optional[_Iterable[str]] = ..., allowed: _Optional[bool] = ..., diff: _Optional[str] = ..., refusal: _Optional[str] = ..., **kwargs) -> None: ...

class Diagnostic(_message.Message):
    __slots__ = ("path", "line", "column", "code", "message", "help")
    PATH_FIELD_NUMBER: _ClassVar[int]
    LINE_FIELD_NUMBER: _ClassVar[int]
    COLUMN_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    HELP_FIELD_NUMBER: _ClassVar[int]
    path: str
    line: int
    column: int
    code: str
    message: str
    help: str
    def __init__(self, path: _Optional[str] = ..., line: _Optional[int] = ..., column: _Optional[int] = ..., code: _Optional[str] = ..., message: _Optional[str] = ..., help: _Optional[str] = ...) -> None: ...

class ApplyRequest(_message.Message):
    __slots__ = ("files", "base_revision", "author", "reason")
    FILES_FIELD_NUMBER: _ClassVar[int]
    BASE_REVISION_FIELD_NUMBER: _ClassVar[int]
    AUTHOR_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    files: _containers.RepeatedCompositeFieldContainer[ConfigFile]
    base_revision: int
    author: str
    reason: str
    def __init__(self, files: _Optional[_Iterable[_Union[ConfigFile, _Mapping]]] = ..., base_revision: _Optional[int] = ..., author: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class ApplyResponse(_message.Message):
    __slots__ = ("revision", "changes")
    REVISION_FIELD_NUMBER: _ClassVar[int]
    CHANGES_FIELD_NUMBER: _ClassVar[int]
    revision: int
    changes: _containers.RepeatedCompositeFieldContainer[Change]
    def __init__(self, revision: _Optional[int] = ..., changes: _Optional[_Iterable[_Union[Change, _Mapping]]] = ...) -> None: ...

class ListViewsRequest(_message.Message):
    __slots__ = ("namespace",)
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    def __init__(self, namespace: _Optional[str] = ...) -> None: ...

class ListViewsResponse(_message.Message):
    __slots__ = ("revision", "views")
    REVISION_FIELD_NUMBER: _ClassVar[int]
    VIEWS_FIELD_NUMBER: _ClassVar[int]
    revision: int
    views: _containers.RepeatedCompositeFieldContainer[ViewRecord]
    def __init__(self, revision: _Optional[int] = ..., views: _Optional[_Iterable[_Union[ViewRecord, _Mapping]]] = ...) -> None: ...

class ViewRecord(_message.Message):
    __slots__ = ("reference", "config", "sql", "revision", "author", "at_micros", "reason")
    REFERENCE_FIELD_NUMBER: _ClassVar[int]
    CONFIG_FIELD_NUMBER: _ClassVar[int]
    SQL_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    AUTHOR_FIELD_NUMBER: _ClassVar[int]
    AT_MICROS_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    reference: str
    config: str
    sql: str
    revision: int
    author: str
    at_micros: int
    reason: str
    def __init__(self, reference: _Optional[str] = ..., config: _Optional[str] = ..., sql: _Optional[str] = ..., revision: _Optional[int] = ..., author: _Optional[str] = ..., at_micros: _Optional[int] = ..., reason: _Optional[str] = ...) -> None: ...

class GetViewRequest(_message.Message):
    __slots__ = ("reference",)
    REFERENCE_FIELD_NUMBER: _ClassVar[int]
    reference: str
    def __init__(self, reference: _Optional[str] = ...) -> None: ...

class GetViewResponse(_message.Message):
    __slots__ = ("revisions",)
    REVISIONS_FIELD_NUMBER: _ClassVar[int]
    revisions: _containers.RepeatedCompositeFieldContainer[ViewRecord]
    def __init__(self, revisions: _Optional[_Iterable[_Union[ViewRecord, _Mapping]]] = ...) -> None: ...

class ListServicesRequest(_message.Message):
    __slots__ = ("namespace",)
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    def __init__(self, namespace: _Optional[str] = ...) -> None: ...

class ListServicesResponse(_message.Message):
    __slots__ = ("revision", "services")
    REVISION_FIELD_NUMBER: _ClassVar[int]
    SERVICES_FIELD_NUMBER: _ClassVar[int]
    revision: int
    services: _containers.RepeatedCompositeFieldContainer[ServiceRecord]
    def __init__(self, revision: _Optional[int] = ..., services: _Optional[_Iterable[_Union[ServiceRecord, _Mapping]]] = ...) -> None: ...

class ServiceRecord(_message.Message):
    __slots__ = ("reference", "config", "revision", "author", "at_micros", "reason")
    REFERENCE_FIELD_NUMBER: _ClassVar[int]
    CONFIG_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    AUTHOR_FIELD_NUMBER: _ClassVar[int]
    AT_MICROS_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    reference: str
    config: str
    revision: int
    author: str
    at_micros: int
    reason: str
    def __init__(self, reference: _Optional[str] = ..., config: _Optional[str] = ..., revision: _Optional[int] = ..., author: _Optional[str] = ..., at_micros: _Optional[int] = ..., reason: _Optional[str] = ...) -> None: ...

class GetServiceRequest(_message.Message):
    __slots__ = ("reference",)
    REFERENCE_FIELD_NUMBER: _ClassVar[int]
    reference: str
    def __init__(self, reference: _Optional[str] = ...) -> None: ...

class GetServiceResponse(_message.Message):
    __slots__ = ("revisions",)
    REVISIONS_FIELD_NUMBER: _ClassVar[int]
    revisions: _containers.RepeatedCompositeFieldContainer[ServiceRecord]
    def __init__(self, revisions: _Optional[_Iterable[_Union[ServiceRecord, _Mapping]]] = ...) -> None: ...

class ListAuditRequest(_message.Message):
    __slots__ = ("subject", "since_revision", "limit")
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    SINCE_REVISION_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    subject: str
    since_revision: int
    limit: int
    def __init__(self, subject: _Optional[str] = ..., since_revision: _Optional[int] = ..., limit: _Optional[int] = ...) -> None: ...

class ListAuditResponse(_message.Message):
    __slots__ = ("entries",)
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    entries: _containers.RepeatedCompositeFieldContainer[AuditRecord]
    def __init__(self, entries: _Optional[_Iterable[_Union[AuditRecord, _Mapping]]] = ...) -> None: ...

class AuditRecord(_message.Message):
    __slots__ = ("revision", "ordinal", "action", "subject", "detail", "author", "at_micros", "reason")
    REVISION_FIELD_NUMBER: _ClassVar[int]
    ORDINAL_FIELD_NUMBER: _ClassVar[int]
    ACTION_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    AUTHOR_FIELD_NUMBER: _ClassVar[int]
    AT_MICROS_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    revision: int
    ordinal: int
    action: str
    subject: str
    detail: str
    author: str
    at_micros: int
    reason: str
    def __init__(self, revision: _Optional[int] = ..., ordinal: _Optional[int] = ..., action: _Optional[str] = ..., subject: _Optional[str] = ..., detail: _Optional[str] = ..., author: _Optional[str] = ..., at_micros: _Optional[int] = ..., reason: _Optional[str] = ...) -> None: ...
