from trivium.v1 import value_pb2 as _value_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Payload(_message.Message):
    __slots__ = ("view", "entity", "event_time_micros", "put", "delete", "sequence")
    class EntityEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: _value_pb2.KeyValue
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[_value_pb2.KeyValue, _Mapping]] = ...) -> None: ...
    VIEW_FIELD_NUMBER: _ClassVar[int]
    ENTITY_FIELD_NUMBER: _ClassVar[int]
    EVENT_TIME_MICROS_FIELD_NUMBER: _ClassVar[int]
    PUT_FIELD_NUMBER: _ClassVar[int]
    DELETE_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    view: str
    entity: _containers.MessageMap[str, _value_pb2.KeyValue]
    event_time_micros: int
    put: PayloadRow
    delete: PayloadDelete
    sequence: int
    def __init__(self, view: _Optional[str] = ..., entity: _Optional[_Mapping[str, _value_pb2.KeyValue]] = ..., event_time_micros: _Optional[int] = ..., put: _Optional[_Union[PayloadRow, _Mapping]] = ..., delete: _Optional[_Union[PayloadDelete, _Mapping]] = ..., sequence: _Optional[int] = ...) -> None: ...

class PayloadRow(_message.Message):
    __slots__ = ("values",)
    class ValuesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: _value_pb2.Value
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[_value_pb2.Value, _Mapping]] = ...) -> None: ...
    VALUES_FIELD_NUMBER: _ClassVar[int]
    values: _containers.MessageMap[str, _value_pb2.Value]
    def __init__(self, values: _Optional[_Mapping[str, _value_pb2.Value]] = ...) -> None: ...

class PayloadDelete(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...
