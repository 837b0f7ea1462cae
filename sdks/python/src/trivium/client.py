"""The client. A further method is a request, a call, and a result: see `Client._call`."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import grpc
import pandas as pd
import pyarrow as pa
from google.protobuf.message import Message

from trivium import errors, searching, values
from trivium.erasing import Erasure
from trivium.results import Batch, Row, WriteResult
from trivium.v1 import erasure_pb2, history_pb2, online_pb2, registry_pb2

_Answer = TypeVar("_Answer", bound=Message)
# An answer of serving has 64 MiB at most, before gRPC's own framing.
_ANSWER_BYTES_MAX = 128 << 20

Entity = Mapping[str, Any]
Entities = pd.DataFrame | pa.Table | Sequence[Entity] | Mapping[str, Sequence[Any]]
# Of many entities: as these, or a dict with one value for all of them.
Inputs = pd.DataFrame | pa.Table | Sequence[Mapping[str, Any]] | Mapping[str, Any]


def cached(max_staleness_ms: int) -> online_pb2.Consistency:
    """A read that may be answered from a copy, no older than this."""
    bound = online_pb2.CachedRead(max_staleness_ms=max_staleness_ms)
    return online_pb2.Consistency(cached=bound)


@dataclass(frozen=True)
class PutRow:
    """One row of `Client.batch_put`; see `Client.put`."""

    entity: Entity
    values: Mapping[str, Any]
    event_time: dt.datetime | None = None
    if_rev: int | None = None
    idempotency_key: str | bytes | None = None
    sequence: int | None = None


class Client:
    """Calls a server at `grpc://HOST:PORT`. Use it as a context manager, or `close` it.

    `deadline` is in seconds, for each call; every method takes another by its own `deadline`. A
    failed call raises a subclass of `TriviumError`. Nothing is sent twice.
    """

    def __init__(self, address: str, *, api_key: str | None = None, deadline: float = 10.0) -> None:
        options = [("grpc.max_receive_message_length", _ANSWER_BYTES_MAX)]
        target = address.removeprefix("grpc://").removeprefix("http://")
        self._channel = grpc.insecure_channel(target, options=options)
        self._metadata = (("authorization", f"Bearer {api_key}"),) if api_key else ()
        self._deadline = deadline
        self._types: dict[str, dict[str, Any]] = {}
        self._inputs: dict[str, dict[str, Any]] = {}

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the connection."""
        self._channel.close()

    def get(
        self,
        features: str | Sequence[str],
        entity: Entity,
        *,
        inputs: Mapping[str, Any] | None = None,
        consistency: str | online_pb2.Consistency = "strong",
        deadline: float | None = None,
    ) -> Row:
        """Features of one entity. `features` is a list of names, or one service's name.

        `inputs` are those of the service; one that is left out is null.
        """
        sent = inputs or {}
        types = self._input_types(features, sent, deadline)
        request = online_pb2.GetRequest(
            selection=_selection(features),
            entity={name: values.key(each, f"entity.{name}") for name, each in entity.items()},
            consistency=_consistency(consistency),
            inputs={
                # What is no input, the server says.
                name: values.value(types[name], each, f"inputs.{name}")
                if name in types
                else values.value("string", None, f"inputs.{name}")
                for name, each in sent.items()
            },
        )
        return Row.of(self._call("OnlineService/Get", request, online_pb2.GetResponse, deadline))

    def batch_get(
        self,
        features: str | Sequence[str],
        entities: Entities,
        *,
        inputs: Inputs | None = None,
        consistency: str | online_pb2.Consistency = "strong",
        deadline: float | None = None,
    ) -> Batch:
        """Features of many entities: a DataFrame, a table, a list of dicts, or a dict of lists.

        `inputs` are those of the service, in the same forms, a row for each entity; in a dict,
        what is no list is for all of them. One that is left out is null, as is what a DataFrame
        lacks.
        """
        columns = _columns(entities)
        count = len(next(iter(columns.values()), []))
        sent = {} if inputs is None else _input_columns(inputs)
        types = self._input_types(features, sent, deadline)
        request = online_pb2.BatchGetRequest(
            selection=_selection(features),
            entities=[values.key_column(name, each, "entities") for name, each in columns.items()],
            consistency=_consistency(consistency),
            inputs=[
                values.input_column(name, types[name], each)
                if name in types
                else values.input_column(name, "string", [None] * len(each))
                for name, each in sent.items()
            ],
        )
        answer = self._call(
            "OnlineService/BatchGet", request, online_pb2.BatchGetResponse, deadline
        )
        return Batch.of(answer, count)

    def put(
        self,
        view: str,
        entity: Entity,
        values: Mapping[str, Any],
        *,
        event_time: dt.datetime | None = None,
        if_rev: int | None = None,
        idempotency_key: str | bytes | None = None,
        sequence: int | None = None,
        wait_for_search: bool = False,
        deadline: float | None = None,
    ) -> WriteResult:
        """Sets features of one entity; others keep their values, `None` sets null.

        With `wait_for_search` it is answered when searches see it.
        """
        row = PutRow(entity, values, event_time, if_rev, idempotency_key, sequence)
        request = online_pb2.PutRequest(
            view=view,
            row=self._put_row(view, row, "row", deadline),
            wait_for_search=wait_for_search,
        )
        answer = self._call("OnlineService/Put", request, online_pb2.PutResponse, deadline)
        return WriteResult.of(answer.result)

    def batch_put(
        self,
        view: str,
        rows: Iterable[PutRow],
        *,
        wait_for_search: bool = False,
        deadline: float | None = None,
    ) -> list[WriteResult]:
        """Sets features of many entities; each row is an atomic step with a result of its own."""
        sent = [self._put_row(view, row, f"rows[{at}]", deadline) for at, row in enumerate(rows)]
        request = online_pb2.BatchPutRequest(
            view=view, values=online_pb2.PutRows(rows=sent), wait_for_search=wait_for_search
        )
        answer = self._call(
            "OnlineService/BatchPut", request, online_pb2.BatchPutResponse, deadline
        )
        return [WriteResult.of(each) for each in answer.results]

    def delete(
        self,
        view: str,
        entity: Entity,
        *,
        event_time: dt.datetime | None = None,
        if_rev: int | None = None,
        idempotency_key: str | bytes | None = None,
        sequence: int | None = None,
        deadline: float | None = None,
    ) -> WriteResult:
        """Removes one entity's row, for every feature of the view."""
        row = online_pb2.DeleteRow(
            **_meta(PutRow(entity, {}, event_time, if_rev, idempotency_key, sequence), "rows[0]")
        )
        request = online_pb2.DeleteRequest(view=view, rows=[row])
        answer = self._call("OnlineService/Delete", request, online_pb2.DeleteResponse, deadline)
        return WriteResult.of(answer.results[0])

    def search(
        self,
        feature: str,
        near: Sequence[float] | Entity,
        k: int = 10,
        *,
        filter: searching.Filter | None = None,
        min_score: float | None = None,
        features: Sequence[str] = (),
        deadline: float | None = None,
    ) -> searching.Hits:
        """The entities nearest to a vector, or to an entity's own embedding (itself left out)."""
        view = feature.partition(":")[0]
        types = {} if filter is None else self._types.get(view) or self._known_types(view, deadline)
        request = searching.request(
            feature, near, types, k=k, filter=filter, min_score=min_score, features=features
        )
        answer = self._call(
            "OnlineService/SearchNearest", request, online_pb2.SearchNearestResponse, deadline
        )
        return searching.Hits.of(answer)

    def erase(
        self,
        namespace: str,
        subject: Entity,
        *,
        reason: str = "",
        requested_by: str = "",
        request_id: str = "",
        deadline: float | None = None,
    ) -> Erasure:
        """Erases a person, named by the one join key that the namespace's views call `subject`.

        It may be in progress when this returns, and goes on by itself: ask `erasure`, or erase
        again under the same `request_id`.
        """
        request = erasure_pb2.EraseSubjectRequest(
            namespace=namespace,
            subject=_subject(subject),
            reason=reason,
            requested_by=requested_by,
            request_id=request_id,
        )
        answer = self._call(
            "OnlineService/EraseSubject", request, erasure_pb2.EraseSubjectResponse, deadline
        )
        return Erasure.of(answer.report)

    def erasure(self, namespace: str, subject: Entity, *, deadline: float | None = None) -> Erasure:
        """The person's newest erasure, as far as it is."""
        request = erasure_pb2.GetErasureRequest(namespace=namespace, subject=_subject(subject))
        answer = self._call(
            "OnlineService/GetErasure", request, erasure_pb2.GetErasureResponse, deadline
        )
        return Erasure.of(answer.report)

    def historical(
        self,
        features: str | Sequence[str],
        frame: pd.DataFrame | pa.Table,
        *,
        event_timestamp: str = "event_timestamp",
        deadline: float | None = None,
    ) -> pa.Table:
        """The frame with features as they were at each row's time; `.to_pandas()` for pandas.

        A service's inputs are columns of the frame.
        """
        table = (
            frame
            if isinstance(frame, pa.Table)
            else pa.Table.from_pandas(frame, preserve_index=False)
        )
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
        request = history_pb2.GetHistoricalRequest(
            selection=_selection(features),
            frame=sink.getvalue().to_pybytes(),
            event_timestamp=event_timestamp,
        )
        call = self._channel.unary_stream(
            "/trivium.v1.HistoryService/GetHistorical",
            request_serializer=history_pb2.GetHistoricalRequest.SerializeToString,
            response_deserializer=history_pb2.GetHistoricalResponse.FromString,
        )
        try:
            pieces = [piece.data for piece in call(request, **self._options(deadline))]
        except grpc.RpcError as error:
            raise errors.of_rpc(error) from None
        return pa.ipc.open_stream(b"".join(pieces)).read_all()

    def config(self, view: str, *, deadline: float | None = None) -> dict[str, Any]:
        """A view's config as the registry has accepted it last, such as `payloads.View` takes."""
        request = registry_pb2.GetViewRequest(reference=view)
        answer = self._call(
            "RegistryService/GetView", request, registry_pb2.GetViewResponse, deadline
        )
        config: dict[str, Any] = json.loads(answer.revisions[-1].config)
        return config

    def _options(self, deadline: float | None) -> dict[str, Any]:
        seconds = self._deadline if deadline is None else deadline
        return {"timeout": seconds, "metadata": self._metadata}

    def _call(
        self, method: str, request: Message, answer: type[_Answer], deadline: float | None
    ) -> _Answer:
        call: Callable[..., _Answer] = self._channel.unary_unary(
            f"/trivium.v1.{method}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=answer.FromString,
        )
        try:
            return call(request, **self._options(deadline))
        except grpc.RpcError as error:
            raise errors.of_rpc(error) from None

    def _put_row(
        self, view: str, row: PutRow, field: str, deadline: float | None
    ) -> online_pb2.PutRow:
        types = self._types.get(view) or {}
        if not types.keys() >= row.values.keys():
            # Not known yet, or added to the view since.
            types = self._known_types(view, deadline)
        sent = {}
        for name, each in row.values.items():
            if name in types:
                sent[name] = values.value(types[name], each, f"{field}.values.{name}")
            else:
                # The server says what there is.
                sent[name] = values.value("string", None, f"{field}.values.{name}")
        return online_pb2.PutRow(**_meta(row, field), values=sent)

    def _input_types(
        self, features: str | Sequence[str], sent: Iterable[str], deadline: float | None
    ) -> dict[str, Any]:
        """The types of a service's inputs, by its config; of others the server says it."""
        if not isinstance(features, str) or not sent:
            return {}
        types = self._inputs.get(features)
        if types is None or not types.keys() >= set(sent):
            # Not known yet, or added to the service since.
            request = registry_pb2.GetServiceRequest(reference=features)
            answer = self._call(
                "RegistryService/GetService", request, registry_pb2.GetServiceResponse, deadline
            )
            config = json.loads(answer.revisions[-1].config)
            types = {each["name"]: each["type"] for each in config.get("inputs") or []}
            self._inputs[features] = types
        return types

    def _known_types(self, view: str, deadline: float | None) -> dict[str, Any]:
        types = self._types[view] = self._feature_types(view, deadline)
        return types

    def _feature_types(self, view: str, deadline: float | None) -> dict[str, Any]:
        """A value has its type beside it on the wire; the view's config knows it."""
        config = self.config(view, deadline=deadline)
        return {each["name"]: each["type"] for each in config["features"]}


def _subject(subject: Entity) -> dict[str, Any]:
    return {name: values.key(each, f"subject.{name}") for name, each in subject.items()}


def _selection(features: str | Sequence[str]) -> online_pb2.FeatureSelection:
    if isinstance(features, str):
        return online_pb2.FeatureSelection(service=features)
    return online_pb2.FeatureSelection(features=list(features))


def _consistency(given: str | online_pb2.Consistency) -> online_pb2.Consistency | None:
    if isinstance(given, online_pb2.Consistency):
        return given
    if given != "strong":
        raise values.wrong("consistency", 'give "strong" or trivium.cached(max_staleness_ms)')
    return None


def _columns(entities: Entities) -> dict[str, list[Any]]:
    if isinstance(entities, pd.DataFrame):
        return {str(name): entities[name].tolist() for name in entities.columns}
    if isinstance(entities, pa.Table):
        return {name: entities[name].to_pylist() for name in entities.column_names}
    if isinstance(entities, Mapping):
        return {name: list(each) for name, each in entities.items()}
    names = dict.fromkeys(name for entity in entities for name in entity)
    for index, entity in enumerate(entities):
        for name in names:
            if name not in entity:
                raise values.wrong(f"entities[{index}]", f"join key `{name}` is missing")
    return {name: [entity[name] for entity in entities] for name in names}


def _input_columns(inputs: Inputs) -> dict[str, list[Any]]:
    if isinstance(inputs, pd.DataFrame):
        # So what is not there is None, whatever pandas calls it.
        inputs = pa.Table.from_pandas(inputs, preserve_index=False)
    if isinstance(inputs, pa.Table):
        return {name: inputs[name].to_pylist() for name in inputs.column_names}
    if isinstance(inputs, Mapping):
        return {
            name: [each]
            if isinstance(each, str | bytes) or not hasattr(each, "__iter__")
            else list(each)
            for name, each in inputs.items()
        }
    names = dict.fromkeys(name for row in inputs for name in row)
    return {name: [row.get(name) for row in inputs] for name in names}


def _meta(row: PutRow, field: str) -> dict[str, Any]:
    named = row.idempotency_key or b""
    at = row.event_time
    return {
        "entity": {
            name: values.key(each, f"{field}.entity.{name}") for name, each in row.entity.items()
        },
        "event_time_micros": None if at is None else values.micros(at, f"{field}.event_time"),
        "if_rev": row.if_rev,
        "idempotency_key": named.encode() if isinstance(named, str) else named,
        "sequence": row.sequence,
    }
