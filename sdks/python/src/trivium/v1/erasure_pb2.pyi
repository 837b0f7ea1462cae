from trivium.v1 import value_pb2 as _value_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class EraseSubjectRequest(_message.Message):
    __slots__ = ("namespace", "subject", "reason", "requested_by", "request_id")
    class SubjectEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: _value_pb2.KeyValue
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[_value_pb2.KeyValue, _Mapping]] = ...) -> None: ...
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    REQUESTED_BY_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    subject: _containers.MessageMap[str, _value_pb2.KeyValue]
    reason: str
    requested_by: str
    request_id: str
    def __init__(self, namespace: _Optional[str] = ..., subject: _Optional[_Mapping[str, _value_pb2.KeyValue]] = ..., reason: _Optional[str] = ..., requested_by: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class EraseSubjectResponse(_message.Message):
    __slots__ = ("report",)
    REPORT_FIELD_NUMBER: _ClassVar[int]
    report: ErasureReport
    def __init__(self, report: _Optional[_Union[ErasureReport, _Mapping]] = ...) -> None: ...

class GetErasureRequest(_message.Message):
    __slots__ = ("namespace", "subject")
    class SubjectEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: _value_pb2.KeyValue
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[_value_pb2.KeyValue, _Mapping]] = ...) -> None: ...
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    subject: _containers.MessageMap[str, _value_pb2.KeyValue]
    def __init__(self, namespace: _Optional[str] = ..., subject: _Optional[_Mapping[str, _value_pb2.KeyValue]] = ...) -> None: ...

class GetErasureResponse(_message.Message):
    __slots__ = ("report",)
    REPORT_FIELD_NUMBER: _ClassVar[int]
    report: ErasureReport
    def __init__(self, report: _Optional[_Union[ErasureReport, _Mapping]] = ...) -> None: ...

class ErasureReport(_message.Message):
    __slots__ = ("state", "erasure", "request_id", "namespace", "subject", "by", "requested_by", "reason", "requested_at_micros", "up_to_micros", "finished_at_micros", "views", "embeddings", "rows_verified", "offline_order_left", "sweeps", "index_calls", "item_calls", "problem", "earlier")
    class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATE_UNSPECIFIED: _ClassVar[ErasureReport.State]
        IN_PROGRESS: _ClassVar[ErasureReport.State]
        AWAITING_REGISTRY: _ClassVar[ErasureReport.State]
        DONE: _ClassVar[ErasureReport.State]
    STATE_UNSPECIFIED: ErasureReport.State
    IN_PROGRESS: ErasureReport.State
    AWAITING_REGISTRY: ErasureReport.State
    DONE: ErasureReport.State
    class SubjectEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: _value_pb2.KeyValue
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[_value_pb2.KeyValue, _Mapping]] = ...) -> None: ...
    class ViewsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: ErasedRows
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[ErasedRows, _Mapping]] = ...) -> None: ...
    class EmbeddingsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    STATE_FIELD_NUMBER: _ClassVar[int]
    ERASURE_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    BY_FIELD_NUMBER: _ClassVar[int]
    REQUESTED_BY_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    REQUESTED_AT_MICROS_FIELD_NUMBER: _ClassVar[int]
    UP_TO_MICROS_FIELD_NUMBER: _ClassVar[int]
    FINISHED_AT_MICROS_FIELD_NUMBER: _ClassVar[int]
    VIEWS_FIELD_NUMBER: _ClassVar[int]
    EMBEDDINGS_FIELD_NUMBER: _ClassVar[int]
    ROWS_VERIFIED_FIELD_NUMBER: _ClassVar[int]
    OFFLINE_ORDER_LEFT_FIELD_NUMBER: _ClassVar[int]
    SWEEPS_FIELD_NUMBER: _ClassVar[int]
    INDEX_CALLS_FIELD_NUMBER: _ClassVar[int]
    ITEM_CALLS_FIELD_NUMBER: _ClassVar[int]
    PROBLEM_FIELD_NUMBER: _ClassVar[int]
    EARLIER_FIELD_NUMBER: _ClassVar[int]
    state: ErasureReport.State
    erasure: str
    request_id: str
    namespace: str
    subject: _containers.MessageMap[str, _value_pb2.KeyValue]
    by: str
    requested_by: str
    reason: str
    requested_at_micros: int
    up_to_micros: int
    finished_at_micros: int
    views: _containers.MessageMap[str, ErasedRows]
    embeddings: _containers.ScalarMap[str, int]
    rows_verified: int
    offline_order_left: bool
    sweeps: int
    index_calls: int
    item_calls: int
    problem: str
    earlier: _containers.RepeatedCompositeFieldContainer[EarlierErasure]
    def __init__(self, state: _Optional[_Union[ErasureReport.State, str]] = ..., erasure: _Optional[str] = ..., request_id: _Optional[str] = ..., namespace: _Optional[str] = ..., subject: _Optional[_Mapping[str, _value_pb2.KeyValue]] = ..., by: _Optional[str] = ..., requested_by: _Optional[str] = ..., reason: _Optional[str] = ..., requested_at_micros: _Optional[int] = ..., up_to_micros: _Optional[int] = ..., finished_at_micros: _Optional[int] = ..., views: _Optional[_Mapping[str, ErasedRows]] = ..., embeddings: _Optional[_Mapping[str, int]] = ..., rows_verified: _Optional[int] = ..., offline_order_left: _Optional[bool] = ..., sweeps: _Optional[int] = ..., index_calls: _Optional[int] = ..., item_calls: _Optional[int] = ..., problem: _Optional[str] = ..., earlier: _Optional[_Iterable[_Union[EarlierErasure, _Mapping]]] = ...) -> None: ...

class ErasedRows(_message.Message):
    __slots__ = ("deleted", "newer")
    DELETED_FIELD_NUMBER: _ClassVar[int]
    NEWER_FIELD_NUMBER: _ClassVar[int]
    deleted: int
    newer: int
    def __init__(self, deleted: _Optional[int] = ..., newer: _Optional[int] = ...) -> None: ...

class EarlierErasure(_message.Message):
    __slots__ = ("erasure", "request_id", "by", "requested_by", "requested_at_micros", "done")
    ERASURE_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    BY_FIELD_NUMBER: _ClassVar[int]
    REQUESTED_BY_FIELD_NUMBER: _ClassVar[int]
    REQUESTED_AT_MICROS_FIELD_NUMBER: _ClassVar[int]
    DONE_FIELD_NUMBER: _ClassVar[int]
    erasure: str
    request_id: str
    by: str
    requested_by: str
    requested_at_micros: int
    done: bool
    def __init__(self, erasure: _Optional[str] = ..., request_id: _Optional[str] = ..., by: _Optional[str] = ..., requested_by: _Optional[str] = ..., requested_at_micros: _Optional[int] = ..., done: _Optional[bool] = ...) -> None: ...

class ErasureOrder(_message.Message):
    __slots__ = ("number", "erasure", "namespace", "subject", "up_to_micros", "requested_at_micros", "by", "requested_by", "reason")
    class SubjectEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: _value_pb2.KeyValue
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[_value_pb2.KeyValue, _Mapping]] = ...) -> None: ...
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    ERASURE_FIELD_NUMBER: _ClassVar[int]
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    UP_TO_MICROS_FIELD_NUMBER: _ClassVar[int]
    REQUESTED_AT_MICROS_FIELD_NUMBER: _ClassVar[int]
    BY_FIELD_NUMBER: _ClassVar[int]
    REQUESTED_BY_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    number: int
    erasure: str
    namespace: str
    subject: _containers.MessageMap[str, _value_pb2.KeyValue]
    up_to_micros: int
    requested_at_micros: int
    by: str
    requested_by: str
    reason: str
    def __init__(self, number: _Optional[int] = ..., erasure: _Optional[str] = ..., namespace: _Optional[str] = ..., subject: _Optional[_Mapping[str, _value_pb2.KeyValue]] = ..., up_to_micros: _Optional[int] = ..., requested_at_micros: _Optional[int] = ..., by: _Optional[str] = ..., requested_by: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class LeaveErasureOrderRequest(_message.Message):
    __slots__ = ("order",)
    ORDER_FIELD_NUMBER: _ClassVar[int]
    order: ErasureOrder
    def __init__(self, order: _Optional[_Union[ErasureOrder, _Mapping]] = ...) -> None: ...

class LeaveErasureOrderResponse(_message.Message):
    __slots__ = ("number",)
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    number: int
    def __init__(self, number: _Optional[int] = ...) -> None: ...

class ListErasureOrdersRequest(_message.Message):
    __slots__ = ("after", "limit")
    AFTER_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    after: int
    limit: int
    def __init__(self, after: _Optional[int] = ..., limit: _Optional[int] = ...) -> None: ...

class ListErasureOrdersResponse(_message.Message):
    __slots__ = ("orders",)
    ORDERS_FIELD_NUMBER: _ClassVar[int]
    orders: _containers.RepeatedCompositeFieldContainer[ErasureOrder]
    def __init__(self, orders: _Optional[_Iterable[_Union[ErasureOrder, _Mapping]]] = ...) -> None: ...
