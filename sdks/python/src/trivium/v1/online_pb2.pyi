from trivium.v1 import erasure_pb2 as _erasure_pb2
from trivium.v1 import value_pb2 as _value_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class FeatureSelection(_message.Message):
    __slots__ = ("features", "service")
    FEATURES_FIELD_NUMBER: _ClassVar[int]
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    features: _containers.RepeatedScalarFieldContainer[str]
    service: str
    def __init__(self, features: _Optional[_Iterable[str]] = ..., service: _Optional[str] = ...) -> None: ...

class Consistency(_message.Message):
    __slots__ = ("strong", "cached")
    STRONG_FIELD_NUMBER: _ClassVar[int]
    CACHED_FIELD_NUMBER: _ClassVar[int]
    strong: StrongRead
    cached: CachedRead
    def __init__(self, strong: _Optional[_Union[StrongRead, _Mapping]] = ..., cached: _Optional[_Union[CachedRead, _Mapping]] = ...) -> None: ...

class StrongRead(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class CachedRead(_message.Message):
    __slots__ = ("max_staleness_ms",)
    MAX_STALENESS_MS_FIELD_NUMBER: _ClassVar[int]
    max_staleness_ms: int
    def __init__(self, max_staleness_ms: _Optional[int] = ...) -> None: ...

class GetRequest(_message.Message):
    __slots__ = ("selection", "entity", "consistency", "inputs")
    class EntityEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: _value_pb2.KeyValue
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[_value_pb2.KeyValue, _Mapping]] = ...) -> None: ...
    class InputsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: _value_pb2.Value
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[_value_pb2.Value, _Mapping]] = ...) -> None: ...
    SELECTION_FIELD_NUMBER: _ClassVar[int]
    ENTITY_FIELD_NUMBER: _ClassVar[int]
    CONSISTENCY_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    selection: FeatureSelection
    entity: _containers.MessageMap[str, _value_pb2.KeyValue]
    consistency: Consistency
    inputs: _containers.MessageMap[str, _value_pb2.Value]
    def __init__(self, selection: _Optional[_Union[FeatureSelection, _Mapping]] = ..., entity: _Optional[_Mapping[str, _value_pb2.KeyValue]] = ..., consistency: _Optional[_Union[Consistency, _Mapping]] = ..., inputs: _Optional[_Mapping[str, _value_pb2.Value]] = ...) -> None: ...

class GetResponse(_message.Message):
    __slots__ = ("features", "values", "statuses", "rows")
    FEATURES_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    STATUSES_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    features: _containers.RepeatedScalarFieldContainer[str]
    values: _containers.RepeatedCompositeFieldContainer[_value_pb2.Value]
    statuses: _containers.RepeatedScalarFieldContainer[_value_pb2.Status]
    rows: _containers.RepeatedCompositeFieldContainer[RowInfo]
    def __init__(self, features: _Optional[_Iterable[str]] = ..., values: _Optional[_Iterable[_Union[_value_pb2.Value, _Mapping]]] = ..., statuses: _Optional[_Iterable[_Union[_value_pb2.Status, str]]] = ..., rows: _Optional[_Iterable[_Union[RowInfo, _Mapping]]] = ...) -> None: ...

class RowInfo(_message.Message):
    __slots__ = ("view", "event_time_micros", "rev")
    VIEW_FIELD_NUMBER: _ClassVar[int]
    EVENT_TIME_MICROS_FIELD_NUMBER: _ClassVar[int]
    REV_FIELD_NUMBER: _ClassVar[int]
    view: str
    event_time_micros: int
    rev: int
    def __init__(self, view: _Optional[str] = ..., event_time_micros: _Optional[int] = ..., rev: _Optional[int] = ...) -> None: ...

class BatchGetRequest(_message.Message):
    __slots__ = ("selection", "entities", "consistency", "inputs")
    SELECTION_FIELD_NUMBER: _ClassVar[int]
    ENTITIES_FIELD_NUMBER: _ClassVar[int]
    CONSISTENCY_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    selection: FeatureSelection
    entities: _containers.RepeatedCompositeFieldContainer[KeyColumn]
    consistency: Consistency
    inputs: _containers.RepeatedCompositeFieldContainer[InputColumn]
    def __init__(self, selection: _Optional[_Union[FeatureSelection, _Mapping]] = ..., entities: _Optional[_Iterable[_Union[KeyColumn, _Mapping]]] = ..., consistency: _Optional[_Union[Consistency, _Mapping]] = ..., inputs: _Optional[_Iterable[_Union[InputColumn, _Mapping]]] = ...) -> None: ...

class InputColumn(_message.Message):
    __slots__ = ("name", "values")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    name: str
    values: _containers.RepeatedCompositeFieldContainer[_value_pb2.Value]
    def __init__(self, name: _Optional[str] = ..., values: _Optional[_Iterable[_Union[_value_pb2.Value, _Mapping]]] = ...) -> None: ...

class KeyColumn(_message.Message):
    __slots__ = ("name", "strings", "int64s", "bools", "bytes", "dates", "timestamps_micros")
    NAME_FIELD_NUMBER: _ClassVar[int]
    STRINGS_FIELD_NUMBER: _ClassVar[int]
    INT64S_FIELD_NUMBER: _ClassVar[int]
    BOOLS_FIELD_NUMBER: _ClassVar[int]
    BYTES_FIELD_NUMBER: _ClassVar[int]
    DATES_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMPS_MICROS_FIELD_NUMBER: _ClassVar[int]
    name: str
    strings: _value_pb2.StringList
    int64s: _value_pb2.Int64List
    bools: _value_pb2.BoolList
    bytes: _value_pb2.BytesList
    dates: _value_pb2.Int32List
    timestamps_micros: _value_pb2.Int64List
    def __init__(self, name: _Optional[str] = ..., strings: _Optional[_Union[_value_pb2.StringList, _Mapping]] = ..., int64s: _Optional[_Union[_value_pb2.Int64List, _Mapping]] = ..., bools: _Optional[_Union[_value_pb2.BoolList, _Mapping]] = ..., bytes: _Optional[_Union[_value_pb2.BytesList, _Mapping]] = ..., dates: _Optional[_Union[_value_pb2.Int32List, _Mapping]] = ..., timestamps_micros: _Optional[_Union[_value_pb2.Int64List, _Mapping]] = ...) -> None: ...

class BatchGetResponse(_message.Message):
    __slots__ = ("features", "columns", "rows")
    FEATURES_FIELD_NUMBER: _ClassVar[int]
    COLUMNS_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    features: _containers.RepeatedScalarFieldContainer[str]
    columns: _containers.RepeatedCompositeFieldContainer[FeatureColumn]
    rows: _containers.RepeatedCompositeFieldContainer[RowColumn]
    def __init__(self, features: _Optional[_Iterable[str]] = ..., columns: _Optional[_Iterable[_Union[FeatureColumn, _Mapping]]] = ..., rows: _Optional[_Iterable[_Union[RowColumn, _Mapping]]] = ...) -> None: ...

class FeatureColumn(_message.Message):
    __slots__ = ("float64s", "float32s", "int64s", "int32s", "bools", "strings", "bytes", "timestamps_micros", "dates", "decimals", "lists", "embeddings", "statuses", "nulls")
    FLOAT64S_FIELD_NUMBER: _ClassVar[int]
    FLOAT32S_FIELD_NUMBER: _ClassVar[int]
    INT64S_FIELD_NUMBER: _ClassVar[int]
    INT32S_FIELD_NUMBER: _ClassVar[int]
    BOOLS_FIELD_NUMBER: _ClassVar[int]
    STRINGS_FIELD_NUMBER: _ClassVar[int]
    BYTES_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMPS_MICROS_FIELD_NUMBER: _ClassVar[int]
    DATES_FIELD_NUMBER: _ClassVar[int]
    DECIMALS_FIELD_NUMBER: _ClassVar[int]
    LISTS_FIELD_NUMBER: _ClassVar[int]
    EMBEDDINGS_FIELD_NUMBER: _ClassVar[int]
    STATUSES_FIELD_NUMBER: _ClassVar[int]
    NULLS_FIELD_NUMBER: _ClassVar[int]
    float64s: _value_pb2.DoubleList
    float32s: _value_pb2.FloatList
    int64s: _value_pb2.Int64List
    int32s: _value_pb2.Int32List
    bools: _value_pb2.BoolList
    strings: _value_pb2.StringList
    bytes: _value_pb2.BytesList
    timestamps_micros: _value_pb2.Int64List
    dates: _value_pb2.Int32List
    decimals: _value_pb2.StringList
    lists: _value_pb2.ListList
    embeddings: _value_pb2.EmbeddingList
    statuses: bytes
    nulls: bytes
    def __init__(self, float64s: _Optional[_Union[_value_pb2.DoubleList, _Mapping]] = ..., float32s: _Optional[_Union[_value_pb2.FloatList, _Mapping]] = ..., int64s: _Optional[_Union[_value_pb2.Int64List, _Mapping]] = ..., int32s: _Optional[_Union[_value_pb2.Int32List, _Mapping]] = ..., bools: _Optional[_Union[_value_pb2.BoolList, _Mapping]] = ..., strings: _Optional[_Union[_value_pb2.StringList, _Mapping]] = ..., bytes: _Optional[_Union[_value_pb2.BytesList, _Mapping]] = ..., timestamps_micros: _Optional[_Union[_value_pb2.Int64List, _Mapping]] = ..., dates: _Optional[_Union[_value_pb2.Int32List, _Mapping]] = ..., decimals: _Optional[_Union[_value_pb2.StringList, _Mapping]] = ..., lists: _Optional[_Union[_value_pb2.ListList, _Mapping]] = ..., embeddings: _Optional[_Union[_value_pb2.EmbeddingList, _Mapping]] = ..., statuses: _Optional[bytes] = ..., nulls: _Optional[bytes] = ...) -> None: ...

class RowColumn(_message.Message):
    __slots__ = ("view", "event_times_micros", "revs")
    VIEW_FIELD_NUMBER: _ClassVar[int]
    EVENT_TIMES_MICROS_FIELD_NUMBER: _ClassVar[int]
    REVS_FIELD_NUMBER: _ClassVar[int]
    view: str
    event_times_micros: _containers.RepeatedScalarFieldContainer[int]
    revs: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, view: _Optional[str] = ..., event_times_micros: _Optional[_Iterable[int]] = ..., revs: _Optional[_Iterable[int]] = ...) -> None: ...

class PutRequest(_message.Message):
    __slots__ = ("view", "row", "wait_for_search")
    VIEW_FIELD_NUMBER: _ClassVar[int]
    ROW_FIELD_NUMBER: _ClassVar[int]
    WAIT_FOR_SEARCH_FIELD_NUMBER: _ClassVar[int]
    view: str
    row: PutRow
    wait_for_search: bool
    def __init__(self, view: _Optional[str] = ..., row: _Optional[_Union[PutRow, _Mapping]] = ..., wait_for_search: _Optional[bool] = ...) -> None: ...

class PutRow(_message.Message):
    __slots__ = ("entity", "values", "event_time_micros", "if_rev", "idempotency_key", "sequence")
    class EntityEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: _value_pb2.KeyValue
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[_value_pb2.KeyValue, _Mapping]] = ...) -> None: ...
    class ValuesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: _value_pb2.Value
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[_value_pb2.Value, _Mapping]] = ...) -> None: ...
    ENTITY_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    EVENT_TIME_MICROS_FIELD_NUMBER: _ClassVar[int]
    IF_REV_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    entity: _containers.MessageMap[str, _value_pb2.KeyValue]
    values: _containers.MessageMap[str, _value_pb2.Value]
    event_time_micros: int
    if_rev: int
    idempotency_key: bytes
    sequence: int
    def __init__(self, entity: _Optional[_Mapping[str, _value_pb2.KeyValue]] = ..., values: _Optional[_Mapping[str, _value_pb2.Value]] = ..., event_time_micros: _Optional[int] = ..., if_rev: _Optional[int] = ..., idempotency_key: _Optional[bytes] = ..., sequence: _Optional[int] = ...) -> None: ...

class PutResponse(_message.Message):
    __slots__ = ("result",)
    RESULT_FIELD_NUMBER: _ClassVar[int]
    result: WriteResult
    def __init__(self, result: _Optional[_Union[WriteResult, _Mapping]] = ...) -> None: ...

class BatchPutRequest(_message.Message):
    __slots__ = ("view", "values", "encoded", "wait_for_search")
    VIEW_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    ENCODED_FIELD_NUMBER: _ClassVar[int]
    WAIT_FOR_SEARCH_FIELD_NUMBER: _ClassVar[int]
    view: str
    values: PutRows
    encoded: EncodedRows
    wait_for_search: bool
    def __init__(self, view: _Optional[str] = ..., values: _Optional[_Union[PutRows, _Mapping]] = ..., encoded: _Optional[_Union[EncodedRows, _Mapping]] = ..., wait_for_search: _Optional[bool] = ...) -> None: ...

class PutRows(_message.Message):
    __slots__ = ("rows",)
    ROWS_FIELD_NUMBER: _ClassVar[int]
    rows: _containers.RepeatedCompositeFieldContainer[PutRow]
    def __init__(self, rows: _Optional[_Iterable[_Union[PutRow, _Mapping]]] = ...) -> None: ...

class EncodedRows(_message.Message):
    __slots__ = ("schema_fingerprint", "rows", "lane")
    SCHEMA_FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    LANE_FIELD_NUMBER: _ClassVar[int]
    schema_fingerprint: int
    rows: _containers.RepeatedCompositeFieldContainer[EncodedRow]
    lane: _value_pb2.Lane
    def __init__(self, schema_fingerprint: _Optional[int] = ..., rows: _Optional[_Iterable[_Union[EncodedRow, _Mapping]]] = ..., lane: _Optional[_Union[_value_pb2.Lane, str]] = ...) -> None: ...

class EncodedRow(_message.Message):
    __slots__ = ("entity", "row", "event_time_micros", "sequence", "replacing", "write_id")
    ENTITY_FIELD_NUMBER: _ClassVar[int]
    ROW_FIELD_NUMBER: _ClassVar[int]
    EVENT_TIME_MICROS_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    REPLACING_FIELD_NUMBER: _ClassVar[int]
    WRITE_ID_FIELD_NUMBER: _ClassVar[int]
    entity: _containers.RepeatedCompositeFieldContainer[_value_pb2.KeyValue]
    row: bytes
    event_time_micros: int
    sequence: int
    replacing: Replacing
    write_id: bytes
    def __init__(self, entity: _Optional[_Iterable[_Union[_value_pb2.KeyValue, _Mapping]]] = ..., row: _Optional[bytes] = ..., event_time_micros: _Optional[int] = ..., sequence: _Optional[int] = ..., replacing: _Optional[_Union[Replacing, _Mapping]] = ..., write_id: _Optional[bytes] = ...) -> None: ...

class Replacing(_message.Message):
    __slots__ = ("event_time_micros", "sequence")
    EVENT_TIME_MICROS_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    event_time_micros: int
    sequence: int
    def __init__(self, event_time_micros: _Optional[int] = ..., sequence: _Optional[int] = ...) -> None: ...

class BatchPutResponse(_message.Message):
    __slots__ = ("results",)
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[WriteResult]
    def __init__(self, results: _Optional[_Iterable[_Union[WriteResult, _Mapping]]] = ...) -> None: ...

class DeleteRequest(_message.Message):
    __slots__ = ("view", "rows")
    VIEW_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    view: str
    rows: _containers.RepeatedCompositeFieldContainer[DeleteRow]
    def __init__(self, view: _Optional[str] = ..., rows: _Optional[_Iterable[_Union[DeleteRow, _Mapping]]] = ...) -> None: ...

class DeleteRow(_message.Message):
    __slots__ = ("entity", "event_time_micros", "if_rev", "idempotency_key", "sequence")
    class EntityEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: _value_pb2.KeyValue
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[_value_pb2.KeyValue, _Mapping]] = ...) -> None: ...
    ENTITY_FIELD_NUMBER: _ClassVar[int]
    EVENT_TIME_MICROS_FIELD_NUMBER: _ClassVar[int]
    IF_REV_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    entity: _containers.MessageMap[str, _value_pb2.KeyValue]
    event_time_micros: int
    if_rev: int
    idempotency_key: bytes
    sequence: int
    def __init__(self, entity: _Optional[_Mapping[str, _value_pb2.KeyValue]] = ..., event_time_micros: _Optional[int] = ..., if_rev: _Optional[int] = ..., idempotency_key: _Optional[bytes] = ..., sequence: _Optional[int] = ...) -> None: ...

class DeleteResponse(_message.Message):
    __slots__ = ("results",)
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[WriteResult]
    def __init__(self, results: _Optional[_Iterable[_Union[WriteResult, _Mapping]]] = ...) -> None: ...

class WriteResult(_message.Message):
    __slots__ = ("outcome", "rev", "event_time_micros", "error")
    class Outcome(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        OUTCOME_UNSPECIFIED: _ClassVar[WriteResult.Outcome]
        APPLIED: _ClassVar[WriteResult.Outcome]
        SUPERSEDED: _ClassVar[WriteResult.Outcome]
        CONFLICT: _ClassVar[WriteResult.Outcome]
        FAILED: _ClassVar[WriteResult.Outcome]
        ERASED: _ClassVar[WriteResult.Outcome]
    OUTCOME_UNSPECIFIED: WriteResult.Outcome
    APPLIED: WriteResult.Outcome
    SUPERSEDED: WriteResult.Outcome
    CONFLICT: WriteResult.Outcome
    FAILED: WriteResult.Outcome
    ERASED: WriteResult.Outcome
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    REV_FIELD_NUMBER: _ClassVar[int]
    EVENT_TIME_MICROS_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    outcome: WriteResult.Outcome
    rev: int
    event_time_micros: int
    error: _value_pb2.ErrorDetail
    def __init__(self, outcome: _Optional[_Union[WriteResult.Outcome, str]] = ..., rev: _Optional[int] = ..., event_time_micros: _Optional[int] = ..., error: _Optional[_Union[_value_pb2.ErrorDetail, _Mapping]] = ...) -> None: ...

class SearchNearestRequest(_message.Message):
    __slots__ = ("feature", "vector", "entity", "k", "filter", "min_score", "features")
    FEATURE_FIELD_NUMBER: _ClassVar[int]
    VECTOR_FIELD_NUMBER: _ClassVar[int]
    ENTITY_FIELD_NUMBER: _ClassVar[int]
    K_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    MIN_SCORE_FIELD_NUMBER: _ClassVar[int]
    FEATURES_FIELD_NUMBER: _ClassVar[int]
    feature: str
    vector: _value_pb2.Embedding
    entity: SearchEntity
    k: int
    filter: SearchFilter
    min_score: float
    features: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, feature: _Optional[str] = ..., vector: _Optional[_Union[_value_pb2.Embedding, _Mapping]] = ..., entity: _Optional[_Union[SearchEntity, _Mapping]] = ..., k: _Optional[int] = ..., filter: _Optional[_Union[SearchFilter, _Mapping]] = ..., min_score: _Optional[float] = ..., features: _Optional[_Iterable[str]] = ...) -> None: ...

class SearchEntity(_message.Message):
    __slots__ = ("keys",)
    class KeysEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: _value_pb2.KeyValue
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[_value_pb2.KeyValue, _Mapping]] = ...) -> None: ...
    KEYS_FIELD_NUMBER: _ClassVar[int]
    keys: _containers.MessageMap[str, _value_pb2.KeyValue]
    def __init__(self, keys: _Optional[_Mapping[str, _value_pb2.KeyValue]] = ...) -> None: ...

class SearchFilter(_message.Message):
    __slots__ = ("all", "equals", "range")
    ALL_FIELD_NUMBER: _ClassVar[int]
    EQUALS_FIELD_NUMBER: _ClassVar[int]
    RANGE_FIELD_NUMBER: _ClassVar[int]
    all: SearchFilters
    equals: SearchEquals
    range: SearchRange
    def __init__(self, all: _Optional[_Union[SearchFilters, _Mapping]] = ..., equals: _Optional[_Union[SearchEquals, _Mapping]] = ..., range: _Optional[_Union[SearchRange, _Mapping]] = ...) -> None: ...

class SearchFilters(_message.Message):
    __slots__ = ("filters",)
    FILTERS_FIELD_NUMBER: _ClassVar[int]
    filters: _containers.RepeatedCompositeFieldContainer[SearchFilter]
    def __init__(self, filters: _Optional[_Iterable[_Union[SearchFilter, _Mapping]]] = ...) -> None: ...

class SearchEquals(_message.Message):
    __slots__ = ("feature", "value")
    FEATURE_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    feature: str
    value: _value_pb2.Value
    def __init__(self, feature: _Optional[str] = ..., value: _Optional[_Union[_value_pb2.Value, _Mapping]] = ...) -> None: ...

class SearchRange(_message.Message):
    __slots__ = ("feature", "gt", "gte", "lt", "lte")
    FEATURE_FIELD_NUMBER: _ClassVar[int]
    GT_FIELD_NUMBER: _ClassVar[int]
    GTE_FIELD_NUMBER: _ClassVar[int]
    LT_FIELD_NUMBER: _ClassVar[int]
    LTE_FIELD_NUMBER: _ClassVar[int]
    feature: str
    gt: _value_pb2.Value
    gte: _value_pb2.Value
    lt: _value_pb2.Value
    lte: _value_pb2.Value
    def __init__(self, feature: _Optional[str] = ..., gt: _Optional[_Union[_value_pb2.Value, _Mapping]] = ..., gte: _Optional[_Union[_value_pb2.Value, _Mapping]] = ..., lt: _Optional[_Union[_value_pb2.Value, _Mapping]] = ..., lte: _Optional[_Union[_value_pb2.Value, _Mapping]] = ...) -> None: ...

class SearchNearestResponse(_message.Message):
    __slots__ = ("features", "hits", "dropped", "is_cut_off", "freshness")
    FEATURES_FIELD_NUMBER: _ClassVar[int]
    HITS_FIELD_NUMBER: _ClassVar[int]
    DROPPED_FIELD_NUMBER: _ClassVar[int]
    IS_CUT_OFF_FIELD_NUMBER: _ClassVar[int]
    FRESHNESS_FIELD_NUMBER: _ClassVar[int]
    features: _containers.RepeatedScalarFieldContainer[str]
    hits: _containers.RepeatedCompositeFieldContainer[SearchHit]
    dropped: int
    is_cut_off: bool
    freshness: str
    def __init__(self, features: _Optional[_Iterable[str]] = ..., hits: _Optional[_Iterable[_Union[SearchHit, _Mapping]]] = ..., dropped: _Optional[int] = ..., is_cut_off: _Optional[bool] = ..., freshness: _Optional[str] = ...) -> None: ...

class SearchHit(_message.Message):
    __slots__ = ("entity", "score", "rev", "event_time_micros", "values", "statuses")
    class EntityEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: _value_pb2.KeyValue
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[_value_pb2.KeyValue, _Mapping]] = ...) -> None: ...
    ENTITY_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    REV_FIELD_NUMBER: _ClassVar[int]
    EVENT_TIME_MICROS_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    STATUSES_FIELD_NUMBER: _ClassVar[int]
    entity: _containers.MessageMap[str, _value_pb2.KeyValue]
    score: float
    rev: int
    event_time_micros: int
    values: _containers.RepeatedCompositeFieldContainer[_value_pb2.Value]
    statuses: _containers.RepeatedScalarFieldContainer[_value_pb2.Status]
    def __init__(self, entity: _Optional[_Mapping[str, _value_pb2.KeyValue]] = ..., score: _Optional[float] = ..., rev: _Optional[int] = ..., event_time_micros: _Optional[int] = ..., values: _Optional[_Iterable[_Union[_value_pb2.Value, _Mapping]]] = ..., statuses: _Optional[_Iterable[_Union[_value_pb2.Status, str]]] = ...) -> None: ...
