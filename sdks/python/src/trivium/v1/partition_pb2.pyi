from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class RecordPartitionsRequest(_message.Message):
    __slots__ = ("partitions", "author")
    PARTITIONS_FIELD_NUMBER: _ClassVar[int]
    AUTHOR_FIELD_NUMBER: _ClassVar[int]
    partitions: _containers.RepeatedCompositeFieldContainer[Partition]
    author: str
    def __init__(self, partitions: _Optional[_Iterable[_Union[Partition, _Mapping]]] = ..., author: _Optional[str] = ...) -> None: ...

class RecordPartitionsResponse(_message.Message):
    __slots__ = ("outcomes",)
    class Outcome(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        OUTCOME_UNSPECIFIED: _ClassVar[RecordPartitionsResponse.Outcome]
        RECORDED: _ClassVar[RecordPartitionsResponse.Outcome]
        UNCHANGED: _ClassVar[RecordPartitionsResponse.Outcome]
        SUPERSEDED: _ClassVar[RecordPartitionsResponse.Outcome]
    OUTCOME_UNSPECIFIED: RecordPartitionsResponse.Outcome
    RECORDED: RecordPartitionsResponse.Outcome
    UNCHANGED: RecordPartitionsResponse.Outcome
    SUPERSEDED: RecordPartitionsResponse.Outcome
    OUTCOMES_FIELD_NUMBER: _ClassVar[int]
    outcomes: _containers.RepeatedScalarFieldContainer[RecordPartitionsResponse.Outcome]
    def __init__(self, outcomes: _Optional[_Iterable[_Union[RecordPartitionsResponse.Outcome, str]]] = ...) -> None: ...

class ListPartitionsRequest(_message.Message):
    __slots__ = ("view", "from_micros", "to_micros", "after", "all_revisions", "limit")
    VIEW_FIELD_NUMBER: _ClassVar[int]
    FROM_MICROS_FIELD_NUMBER: _ClassVar[int]
    TO_MICROS_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    ALL_REVISIONS_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    view: str
    from_micros: int
    to_micros: int
    after: str
    all_revisions: bool
    limit: int
    def __init__(self, view: _Optional[str] = ..., from_micros: _Optional[int] = ..., to_micros: _Optional[int] = ..., after: _Optional[str] = ..., all_revisions: _Optional[bool] = ..., limit: _Optional[int] = ...) -> None: ...

class ListPartitionsResponse(_message.Message):
    __slots__ = ("partitions", "next")
    PARTITIONS_FIELD_NUMBER: _ClassVar[int]
    NEXT_FIELD_NUMBER: _ClassVar[int]
    partitions: _containers.RepeatedCompositeFieldContainer[Partition]
    next: str
    def __init__(self, partitions: _Optional[_Iterable[_Union[Partition, _Mapping]]] = ..., next: _Optional[str] = ...) -> None: ...

class Partition(_message.Message):
    __slots__ = ("view", "start_micros", "end_micros", "revision", "content_hash", "rows", "engine", "sql_sha256", "inputs_sha256", "quality", "statistics", "tables", "lineage", "started_micros", "finished_micros", "run", "author", "at_micros")
    VIEW_FIELD_NUMBER: _ClassVar[int]
    START_MICROS_FIELD_NUMBER: _ClassVar[int]
    END_MICROS_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    CONTENT_HASH_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    ENGINE_FIELD_NUMBER: _ClassVar[int]
    SQL_SHA256_FIELD_NUMBER: _ClassVar[int]
    INPUTS_SHA256_FIELD_NUMBER: _ClassVar[int]
    QUALITY_FIELD_NUMBER: _ClassVar[int]
    STATISTICS_FIELD_NUMBER: _ClassVar[int]
    TABLES_FIELD_NUMBER: _ClassVar[int]
    LINEAGE_FIELD_NUMBER: _ClassVar[int]
    STARTED_MICROS_FIELD_NUMBER: _ClassVar[int]
    FINISHED_MICROS_FIELD_NUMBER: _ClassVar[int]
    RUN_FIELD_NUMBER: _ClassVar[int]
    AUTHOR_FIELD_NUMBER: _ClassVar[int]
    AT_MICROS_FIELD_NUMBER: _ClassVar[int]
    view: str
    start_micros: int
    end_micros: int
    revision: int
    content_hash: str
    rows: int
    engine: str
    sql_sha256: str
    inputs_sha256: str
    quality: _containers.RepeatedCompositeFieldContainer[CheckOutcome]
    statistics: _containers.RepeatedCompositeFieldContainer[ColumnStatistics]
    tables: _containers.RepeatedScalarFieldContainer[str]
    lineage: _containers.RepeatedCompositeFieldContainer[ColumnLineage]
    started_micros: int
    finished_micros: int
    run: str
    author: str
    at_micros: int
    def __init__(self, view: _Optional[str] = ..., start_micros: _Optional[int] = ..., end_micros: _Optional[int] = ..., revision: _Optional[int] = ..., content_hash: _Optional[str] = ..., rows: _Optional[int] = ..., engine: _Optional[str] = ..., sql_sha256: _Optional[str] = ..., inputs_sha256: _Optional[str] = ..., quality: _Optional[_Iterable[_Union[CheckOutcome, _Mapping]]] = ..., statistics: _Optional[_Iterable[_Union[ColumnStatistics, _Mapping]]] = ..., tables: _Optional[_Iterable[str]] = ..., lineage: _Optional[_Iterable[_Union[ColumnLineage, _Mapping]]] = ..., started_micros: _Optional[int] = ..., finished_micros: _Optional[int] = ..., run: _Optional[str] = ..., author: _Optional[str] = ..., at_micros: _Optional[int] = ...) -> None: ...

class CheckOutcome(_message.Message):
    __slots__ = ("check", "severity", "passed", "found", "expected")
    CHECK_FIELD_NUMBER: _ClassVar[int]
    SEVERITY_FIELD_NUMBER: _ClassVar[int]
    PASSED_FIELD_NUMBER: _ClassVar[int]
    FOUND_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_FIELD_NUMBER: _ClassVar[int]
    check: str
    severity: str
    passed: bool
    found: str
    expected: str
    def __init__(self, check: _Optional[str] = ..., severity: _Optional[str] = ..., passed: _Optional[bool] = ..., found: _Optional[str] = ..., expected: _Optional[str] = ...) -> None: ...

class ColumnStatistics(_message.Message):
    __slots__ = ("column", "type", "count", "null_count", "null_fraction", "nan_count", "distinct_count", "distinct_exact", "min_json", "max_json", "mean_json", "quantiles_json", "lengths")
    class QuantilesJsonEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    class Lengths(_message.Message):
        __slots__ = ("min", "max", "mean")
        MIN_FIELD_NUMBER: _ClassVar[int]
        MAX_FIELD_NUMBER: _ClassVar[int]
        MEAN_FIELD_NUMBER: _ClassVar[int]
        min: int
        max: int
        mean: float
        def __init__(self, min: _Optional[int] = ..., max: _Optional[int] = ..., mean: _Optional[float] = ...) -> None: ...
    COLUMN_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    NULL_COUNT_FIELD_NUMBER: _ClassVar[int]
    NULL_FRACTION_FIELD_NUMBER: _ClassVar[int]
    NAN_COUNT_FIELD_NUMBER: _ClassVar[int]
    DISTINCT_COUNT_FIELD_NUMBER: _ClassVar[int]
    DISTINCT_EXACT_FIELD_NUMBER: _ClassVar[int]
    MIN_JSON_FIELD_NUMBER: _ClassVar[int]
    MAX_JSON_FIELD_NUMBER: _ClassVar[int]
    MEAN_JSON_FIELD_NUMBER: _ClassVar[int]
    QUANTILES_JSON_FIELD_NUMBER: _ClassVar[int]
    LENGTHS_FIELD_NUMBER: _ClassVar[int]
    column: str
    type: str
    count: int
    null_count: int
    null_fraction: float
    nan_count: int
    distinct_count: int
    distinct_exact: bool
    min_json: str
    max_json: str
    mean_json: str
    quantiles_json: _containers.ScalarMap[str, str]
    lengths: ColumnStatistics.Lengths
    def __init__(self, column: _Optional[str] = ..., type: _Optional[str] = ..., count: _Optional[int] = ..., null_count: _Optional[int] = ..., null_fraction: _Optional[float] = ..., nan_count: _Optional[int] = ..., distinct_count: _Optional[int] = ..., distinct_exact: _Optional[bool] = ..., min_json: _Optional[str] = ..., max_json: _Optional[str] = ..., mean_json: _Optional[str] = ..., quantiles_json: _Optional[_Mapping[str, str]] = ..., lengths: _Optional[_Union[ColumnStatistics.Lengths, _Mapping]] = ...) -> None: ...

class ColumnLineage(_message.Message):
    __slots__ = ("column", "sources")
    COLUMN_FIELD_NUMBER: _ClassVar[int]
    SOURCES_FIELD_NUMBER: _ClassVar[int]
    column: str
    sources: _containers.RepeatedCompositeFieldContainer[SourceColumn]
    def __init__(self, column: _Optional[str] = ..., sources: _Optional[_Iterable[_Union[SourceColumn, _Mapping]]] = ...) -> None: ...

class SourceColumn(_message.Message):
    __slots__ = ("table", "column")
    TABLE_FIELD_NUMBER: _ClassVar[int]
    COLUMN_FIELD_NUMBER: _ClassVar[int]
    table: str
    column: str
    def __init__(self, table: _Optional[str] = ..., column: _Optional[str] = ...) -> None: ...
