// kafkajs in the roles of README.md.
const assert = require('node:assert')
const path = require('node:path')
const readline = require('node:readline')
const { isDeepStrictEqual } = require('node:util')

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

const refused = (type, call) => assert.rejects(call, (e) => {
  const types = (e.errors ?? [e]).map((x) => x.type ?? x.cause?.type)
  assert.ok(types.includes(type), `refused with ${types} ${e}`)
  return true
})

// Apache Kafka shows a change a moment after it has answered it.
async function eventually(read, want) {
  for (const until = Date.now() + 10_000; ; await new Promise((resolve) => setTimeout(resolve, 20))) {
    const got = await read()
    if (isDeepStrictEqual(got, want)) return
    if (Date.now() > until) assert.deepStrictEqual(got, want)
  }
}

async function adminTopics(client, topic) {
  const configEntries = [{ name: 'retention.ms', value: '1234567' }, { name: 'cleanup.policy', value: 'compact' }]
  const make = (more) => client.createTopics({
    waitForLeaders: false, // it gives up on the first answer that does not know the topic yet
    topics: [{ topic, numPartitions: 2, replicationFactor: 1, configEntries, ...more }],
  })
  assert.ok(await client.createTopics({ validateOnly: true, waitForLeaders: false, topics: [{ topic, numPartitions: 2 }] }))
  assert.ok(!(await client.listTopics()).includes(topic), 'made by validateOnly')
  assert.ok(await make())
  assert.strictEqual(await make(), false)
  await refused('INVALID_TOPIC_EXCEPTION', () => make({ topic: 'a b' }))
  await refused('INVALID_REPLICATION_FACTOR', () => make({ topic: topic + '3', replicationFactor: 3 }))
  await eventually(async () => {
    const described = await client.fetchTopicMetadata({ topics: [topic] }).then((m) => m.topics[0].partitions, () => [])
    return Object.fromEntries(described.map((p) => [p.partitionId, [p.leader, ...p.isr]]))
  }, { 0: [1, 1], 1: [1, 1] })
  await client.createPartitions({ topicPartitions: [{ topic, count: 5 }] })
  await refused('INVALID_PARTITIONS', () => client.createPartitions({ topicPartitions: [{ topic, count: 3 }] }))
  await eventually(async () => (await client.fetchTopicMetadata({ topics: [topic] })).topics[0].partitions.length, 5)
}

async function adminConfigs(client, topic) {
  const read = async (type, name) => {
    const { resources } = await client.describeConfigs({ includeSynonyms: false, resources: [{ type, name }] })
    return Object.fromEntries(resources[0].configEntries.map((c) => [c.configName, c.configValue]))
  }
  const both = async () => {
    const c = await read(2, topic)
    return [c['retention.ms'], c['cleanup.policy']]
  }
  await eventually(both, ['1234567', 'compact'])
  const alter = (value) => client.alterConfigs({ resources: [{ type: 2, name: topic, configEntries: [{ name: 'retention.ms', value }] }] })
  await alter('7654321')
  await eventually(both, ['7654321', 'delete']) // AlterConfigs replaces all
  await refused('INVALID_CONFIG', () => alter('x'))
  assert.ok((await read(4, '1'))['log.retention.hours'], 'configuration of the broker')
}

async function adminOffsets(client, topic) {
  const producer = kafka.producer()
  await producer.connect()
  const messages = [...Array(10).keys()].map((i) => ({ value: String(i), partition: 0, timestamp: String(1_000_000 + i) }))
  await producer.send({ topic, messages })
  await producer.disconnect()
  const zero = async () => {
    const { low, high } = (await client.fetchTopicOffsets(topic)).find((p) => p.partition === 0)
    return [low, high]
  }
  assert.deepStrictEqual(await zero(), ['0', '10'])
  await client.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: '4' }] })
  assert.deepStrictEqual(await zero(), ['4', '10'])
}

async function adminGroups(client, topic) {
  const groupId = topic + '-group'
  const listed = async () => (await client.listGroups()).groups.some((g) => g.groupId === groupId)
  await client.setOffsets({ groupId, topic, partitions: [{ partition: 0, offset: '7' }] })
  assert.ok(await listed(), 'not listed')
  const at = (await client.fetchOffsets({ groupId, topics: [topic] }))[0].partitions.find((p) => p.partition === 0)
  assert.strictEqual(at.offset, '7')
  const consumer = kafka.consumer({ groupId, maxWaitTimeInMs: 100 })
  await consumer.connect()
  await consumer.subscribe({ topics: [topic] })
  const first = await new Promise((resolve) => {
    consumer.run({ autoCommit: false, eachMessage: async ({ message }) => resolve(message.offset) })
  })
  assert.strictEqual(first, '7')
  const describe = async () => (await client.describeGroups([groupId])).groups[0]
  let d = await describe()
  assert.deepStrictEqual([d.state, d.members.length], ['Stable', 1])
  const failed = await client.deleteGroups([groupId]).then(() => null, (e) => e.groups[0].error.type)
  assert.strictEqual(failed, 'NON_EMPTY_GROUP')
  await consumer.disconnect()
  d = await describe()
  assert.strictEqual(d.state, 'Empty')
  await client.deleteGroups([groupId])
  assert.ok(!(await listed()), 'still listed')
}

async function admin() {
  const client = kafka.admin({ retry: { retries: 2 } })
  await client.connect()
  assert.deepStrictEqual((await client.describeCluster()).brokers.map((b) => b.nodeId), [1])
  await adminTopics(client, args.topic)
  await adminConfigs(client, args.topic)
  await adminOffsets(client, args.topic)
  await adminGroups(client, args.topic)
  await client.deleteTopics({ topics: [args.topic] })
  await eventually(async () => (await client.listTopics()).includes(args.topic), false)
  await refused('UNKNOWN_TOPIC_OR_PARTITION', () => client.deleteTopics({ topics: [args.topic] }))
  await client.disconnect()
  say('compared', 1)
}

const roles = { roundtrip, member, copy, admin }
roles[role]().then(() => {
  say('left')
  process.exit(0)
}, (e) => {
  console.error(e)
  process.exit(1)
})
