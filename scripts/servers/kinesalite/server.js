// A Kinesis API in memory, on loopback alone (the stock command listens everywhere): `node server.js <port>`.
// What is done to a stream is done almost at once, where the real one takes half a minute.
const { Encoder } = require('cbor')
const kinesalite = require('kinesalite')
const validations = require('kinesalite/validations')

// It is older than what Flink's connector asks: streams by their ARNs alone, and shards after another one.
const checkTypes = validations.checkTypes
validations.checkTypes = (data, types) => {
  if (data.StreamARN && !data.StreamName) data.StreamName = String(data.StreamARN).split(':stream/')[1]
  const filter = data.ShardFilter
  if (filter && filter.Type === 'AFTER_SHARD_ID') data.ExclusiveStartShardId = filter.ShardId
  return checkTypes(data, types)
}

// Answers in CBOR were cut off at 16 KiB: so much an encoder takes at once. Kinesis' longest are 10 MiB.
const encodeOne = Encoder.encodeOne
Encoder.encodeOne = (value) => encodeOne(value, { highWaterMark: 1 << 26 })

const server = kinesalite({ createStreamMs: 0, deleteStreamMs: 0, updateStreamMs: 0, shardLimit: 100 })
server.listen(Number(process.argv[2]), '127.0.0.1')
