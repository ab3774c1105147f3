// kafkajs in the roles of README.md.
const assert = require('node:assert')
const path = require('node:path')
const readline = require('node:readline')

const modules = process.env.NODE_PATH
const { Kafka, CompressionTypes, CompressionCodecs, logLevel } = require(path.join(modules, 'kafkajs'))
CompressionCodecs[CompressionTypes.Snappy] = require(path.join(modules, 'kafkajs-snappy'))

const [role, ...rest] = process.argv.slice(2)
const args = Object.fromEntries(rest.map((a) => [a.slice(0, a.indexOf('=')), a.slice(a.indexOf('=') + 1)]))
const say = (...words) => process.stdout.write(words.join(' ') + '\n')
const left = new Promise((resolve) => {
  readline.createInterface({ input: process.stdin }).on('line', (line) => line.trim() === 'leave' && resolve())
})

const kafka = new Kafka({
  clientId: 'kafkajs',
  brokers: [args.bootstrap],
  logLevel: process.env.LANGS_DEBUG ? logLevel.DEBUG : logLevel.NOTHING,
  retry: { initialRetryTime: 50, maxRetryTime: 500, retries: 20 },
})

const PARTITIONS = 3

function records(run, start) {
  const out = []
  for (let i = 0; i < 60; i++) {
    const key = i % 5 === 0 ? null : `k${i}`
    const value = key !== null && i % 7 === 0 ? null : i % 7 === 1 ? '' : `${run} ${i} `.repeat(i * 20 + 1)
    const headers = { run, n: [String(i), 'again'], empty: '' }
    out.push({ partition: i % PARTITIONS, key, value, headers, timestamp: String(start + i) })
  }
  return out
}

async function roundtrip() {
  const start = Date.now() - 3600_000
  const sent = {}
  const runs = []
  for (const [codec, compression] of [['none', CompressionTypes.None], ['gzip', CompressionTypes.GZIP], ['snappy', CompressionTypes.Snappy]]) {
    runs.push({ run: `${codec}-all-idempotent`, compression, acks: -1, idempotent: true })
  }
  for (const acks of [0, 1, -1]) {
    runs.push({ run: `none-${acks}`, compression: CompressionTypes.None, acks, idempotent: false })
  }
  for (const { run, compression, acks, idempotent } of runs) {
    sent[run] = records(run, start)
    const producer = kafka.producer({ idempotent, maxInFlightRequests: 1 })
    await producer.connect()
    for (let i = 0; i < 60; i += 15) {
      await producer.send({ topic: args.topic, compression, acks, messages: sent[run].slice(i, i + 15) })
    }
    await producer.disconnect()
  }
  const read = {}
  let missing = runs.length * 60
  const consumer = kafka.consumer({ groupId: args.topic, maxWaitTimeInMs: 100 })
  await consumer.connect()
  await consumer.subscribe({ topics: [args.topic], fromBeginning: true })
  await new Promise((resolve, reject) => {
    setTimeout(() => reject(new Error(`${missing} records are missing`)), 20_000).unref()
    consumer.run({
      eachMessage: async ({ partition, message: m }) => {
        const text = (b) => (b === null ? null : b.toString())
        const headers = { run: text(m.headers.run), n: m.headers.n.map(text), empty: text(m.headers.empty) }
        read[headers.run] ??= []
        read[headers.run].push({ partition, key: text(m.key), value: text(m.value), headers, timestamp: m.timestamp })
        if (--missing === 0) resolve()
      },
    })
  })
  for (const run of Object.keys(sent)) {
    for (let p = 0; p < PARTITIONS; p++) {
      const of = (list) => list.filter((r) => r.partition === p)
      assert.deepStrictEqual(of(read[run]), of(sent[run]), run)
    }
  }
  say('compared', runs.length * 60)
  await consumer.disconnect()
  const admin = kafka.admin()
  await admin.connect()
  const at = (list) => Object.fromEntries(list.map((o) => [o.partition, o.offset]))
  assert.deepStrictEqual(at(await admin.fetchTopicOffsetsByTimestamp(args.topic, start + 30))[0], '10')
  const end = String(20 * runs.length)
  assert.deepStrictEqual(at(await admin.fetchTopicOffsets(args.topic)), { 0: end, 1: end, 2: end })
  await admin.disconnect()
}

async function consumerOf(retry, crashed) {
  const consumer = kafka.consumer({
    retry,
    groupId: args.group, sessionTimeout: 5000, heartbeatInterval: 300, rebalanceTimeout: 10_000, metadataMaxAge: 1000, maxWaitTimeInMs: 100,
  })
  consumer.on(consumer.events.CRASH, ({ payload }) => payload.restart || crashed(payload.error))
  await consumer.connect()
  await consumer.subscribe({ topics: [args.topic], fromBeginning: true })
  return consumer
}

async function member() {
  const consumer = await consumerOf(undefined, (e) => say('error', e))
  await consumer.run({
    autoCommit: false,
    eachBatch: async ({ batch, heartbeat, resolveOffset }) => {
      const { partition } = batch
      const [first, last] = [batch.firstOffset(), batch.lastOffset()]
      say('got', partition, first, last)
      await consumer.commitOffsets([{ topic: args.topic, partition, offset: String(BigInt(last) + 1n) }])
      resolveOffset(last) // else it is given again when the heartbeat finds the broker gone
      say('done', partition, first, last)
      await heartbeat()
    },
  })
  await left
  await consumer.disconnect()
}

// kafkajs gives up when a connection breaks while it looks for a coordinator; then the application begins anew, as a
// process that was killed does.
async function copy() {
  while (await copyUntilCrash()) say('crashed')
}

async function copyUntilCrash() {
  const producer = kafka.producer({ transactionalId: args.txid, transactionTimeout: 20_000, maxInFlightRequests: 1, idempotent: true })
  await producer.connect()
  await (await producer.transaction()).abort() // fences the one before, and its offsets are settled before ours are read
  let crash
  const crashed = new Promise((resolve) => { crash = resolve })
  const consumer = await consumerOf({ restartOnFailure: async () => false }, (e) => {
    console.error(e)
    crash(true)
  })
  await consumer.run({
    autoCommit: false,
    eachBatch: async ({ batch, heartbeat, resolveOffset }) => {
      const { partition } = batch
      const transaction = await producer.transaction()
      try {
        const messages = batch.messages.map((m) => ({ key: m.key, value: `${m.value}+`, partition }))
        await transaction.send({ topic: args.out, messages })
        const offset = String(BigInt(batch.lastOffset()) + 1n)
        await transaction.sendOffsets({ consumerGroupId: args.group, topics: [{ topic: args.topic, partitions: [{ partition, offset }] }] })
      } catch (e) {
        await transaction.abort()
        throw e
      }
      await transaction.commit()
      resolveOffset(batch.lastOffset())
      say('committed', batch.messages.length)
      await heartbeat()
    },
  })
  const again = await Promise.race([left, crashed])
  await Promise.allSettled([consumer.disconnect(), producer.disconnect()])
  return again === true
}

const roles = { roundtrip, member, copy }
roles[role]().then(() => {
  say('left')
  process.exit(0)
}, (e) => {
  console.error(e)
  process.exit(1)
})
