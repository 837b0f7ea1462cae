// A Kinesis API in memory, on loopback alone (the stock command listens everywhere): `node server.js <port>`.
// What is done to a stream is done almost at once, where the real one takes half a minute.
const kinesalite = require('kinesalite')

const server = kinesalite({ createStreamMs: 0, deleteStreamMs: 0, updateStreamMs: 0, shardLimit: 100 })
server.listen(Number(process.argv[2]), '127.0.0.1')
