from trivium.v1 import online_pb2 as _online_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class GetHistoricalRequest(_message.Message):
    __slots__ = ("selection", "frame", "event_timestamp")
    SELECTION_FIELD_NUMBER: _ClassVar[int]
    FRAME_FIELD_NUMBER: _ClassVar[int]
    EVENT_TIMESTAMP_FIELD_NUMBER: _ClassVar[int]
    selection: _online_pb2.FeatureSelection
    frame: bytes
    event_timestamp: str
    def __init__(self, selection: _Optional[_Union[_online_pb2.FeatureSelection, _Mapping]] = ..., frame: _Optional[bytes] = ..., event_timestamp: _Optional[str] = ...) -> None: ...

class GetHistoricalResponse(_message.Message):
    __slots__ = ("data",)
    DATA_FIELD_NUMBER: _ClassVar[int]
    data: bytes
    def __init__(self, data: _Optional[bytes] = ...) -> None: ...
