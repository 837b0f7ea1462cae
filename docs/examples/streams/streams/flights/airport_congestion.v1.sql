-- Made by trivium-streamgen 0.1.0: change its sources, not this file.
-- from: flights/airport_congestion.v1.json, flights/airport_congestion.v1.sql
-- sha256: 295bd5504a15119345af8f7d6948d99a74fa18e0fa465efc516e5353a26a0eb2
SET 'pipeline.name' = 'flights/airport_congestion@1';
SET 'pipeline.max-parallelism' = '128';
SET 'parallelism.default' = '2';
SET 'execution.checkpointing.interval' = '10000 ms';
SET 'execution.checkpointing.mode' = 'EXACTLY_ONCE';
SET 'execution.checkpointing.externalized-checkpoint-retention' = 'RETAIN_ON_CANCELLATION';
SET 'table.exec.source.idle-timeout' = '30000 ms';
SET 'table.exec.state.ttl' = '10800000 ms';
SET 'execution.runtime-mode' = 'STREAMING';
SET 'table.local-time-zone' = 'UTC';
SET 'table.dynamic-table-options.enabled' = 'false';

-- An input's messages as they are, and what the query sees of them: none without an event time.
CREATE TEMPORARY TABLE `trivium_messages_departures` (
  `airport` ROW<`code` STRING>,
  `dep_delay` DOUBLE,
  `at` TIMESTAMP_LTZ(3),
  `trivium_time` AS COALESCE(`at`, TO_TIMESTAMP_LTZ(0, 3)),
  WATERMARK FOR `trivium_time` AS `trivium_time` - INTERVAL '300' SECOND(3)
) WITH (
  'connector' = 'kafka',
  'topic' = 'flights.departures',
  'properties.bootstrap.servers' = 'kafka:9092',
  'properties.group.id' = 'trivium-flights.airport_congestion.v1',
  'properties.auto.offset.reset' = 'earliest',
  'properties.isolation.level' = 'read_committed',
  'scan.startup.mode' = 'group-offsets',
  'format' = 'json',
  'json.timestamp-format.standard' = 'ISO-8601',
  'json.ignore-parse-errors' = 'true'
);
CREATE TEMPORARY VIEW `departures` AS SELECT
  `airport`.`code` AS `origin`,
  `dep_delay` AS `dep_delay`,
  `trivium_time` AS `at`
FROM `trivium_messages_departures` WHERE `at` IS NOT NULL;

-- What the worker reads: of an entity, the newest row counts.
CREATE TEMPORARY TABLE `trivium_payload` (
  `origin` STRING,
  `event_ts` TIMESTAMP_LTZ(6),
  `delayed` BIGINT,
  `delayed_share` STRING,
  `departures` BIGINT,
  `last_seen` TIMESTAMP_LTZ(6),
  `mean_delay` DOUBLE
) WITH (
  'connector' = 'kafka',
  'topic' = 'trivium.flights.airport_congestion.v1',
  'properties.bootstrap.servers' = 'kafka:9092',
  'properties.transaction.timeout.ms' = '900000',
  'sink.delivery-guarantee' = 'exactly-once',
  'sink.transactional-id-prefix' = 'trivium-flights.airport_congestion.v1',
  'key.format' = 'json',
  'key.json.timestamp-format.standard' = 'ISO-8601',
  'key.fields' = 'origin',
  'value.format' = 'json',
  'value.json.timestamp-format.standard' = 'ISO-8601',
  'value.fields-include' = 'ALL'
);

CREATE TEMPORARY VIEW `trivium_rows` AS
-- The last hour, every ten minutes; what is known at its end has its end as event time.
SELECT
  origin,
  window_end AS event_ts,
  COUNT(*) AS departures,
  AVG(dep_delay) AS mean_delay,
  COUNT(*) FILTER (WHERE dep_delay >= 15) AS delayed,
  CAST(COUNT(*) FILTER (WHERE dep_delay >= 15) AS DECIMAL(18, 0)) / COUNT(*) AS delayed_share,
  MAX(`at`) AS last_seen
FROM TABLE(HOP(TABLE departures, DESCRIPTOR(`at`), INTERVAL '10' MINUTES, INTERVAL '1' HOUR))
GROUP BY origin, window_start, window_end
;

INSERT INTO `trivium_payload` SELECT
  `origin`,
  `event_ts`,
  `delayed`,
  CAST(CAST(`delayed_share` AS DECIMAL(5, 4)) AS STRING),
  `departures`,
  `last_seen`,
  `mean_delay`
FROM `trivium_rows`;
