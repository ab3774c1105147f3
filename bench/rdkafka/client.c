/* A client on librdkafka for bench: client produce|consume BOOTSTRAP TOPIC COUNT SIZE
 * It sends COUNT records of SIZE bytes to partition 0 and waits until all are acknowledged by acks=all, or reads COUNT
 * records from the beginning. Exit status 0 says that nothing went wrong. */
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static long failed;

static void fail(const char *what, const char *why) {
    fprintf(stderr, "%s: %s\n", what, why);
    exit(1);
}

static void delivered(rd_kafka_t *rk, const rd_kafka_message_t *m, void *opaque) {
    (void)rk, (void)opaque;
    if (m->err)
        failed++;
}

static void set(rd_kafka_conf_t *conf, const char *name, const char *value) {
    char why[256];
    if (rd_kafka_conf_set(conf, name, value, why, sizeof why) != RD_KAFKA_CONF_OK)
        fail(name, why);
}

static void produce(rd_kafka_conf_t *conf, const char *topic, long count, size_t size) {
    char why[256];
    set(conf, "linger.ms", "5");
    set(conf, "batch.size", "1000000");
    set(conf, "batch.num.messages", "100000");
    set(conf, "queue.buffering.max.messages", "500000");
    set(conf, "enable.idempotence", "true");
    rd_kafka_conf_set_dr_msg_cb(conf, delivered);
    rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof why);
    if (!rk)
        fail("producer", why);
    rd_kafka_topic_t *t = rd_kafka_topic_new(rk, topic, NULL);
    char *value = malloc(size);
    memset(value, 'x', size);
    for (long i = 0; i < count; i++) {
        while (rd_kafka_produce(t, 0, RD_KAFKA_MSG_F_COPY, value, size, NULL, 0, NULL) != 0) {
            if (rd_kafka_last_error() != RD_KAFKA_RESP_ERR__QUEUE_FULL)
                fail("produce", rd_kafka_err2str(rd_kafka_last_error()));
            rd_kafka_poll(rk, 10);
        }
        if (i % 1000 == 0)
            rd_kafka_poll(rk, 0);
    }
    if (rd_kafka_flush(rk, 120000) != RD_KAFKA_RESP_ERR_NO_ERROR || failed)
        fail("flush", "records were not delivered");
    rd_kafka_topic_destroy(t);
    rd_kafka_destroy(rk);
}

static void consume(rd_kafka_conf_t *conf, const char *topic, long count) {
    char why[256];
    set(conf, "queued.min.messages", "1000000");
    rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_CONSUMER, conf, why, sizeof why);
    if (!rk)
        fail("consumer", why);
    rd_kafka_topic_t *t = rd_kafka_topic_new(rk, topic, NULL);
    if (rd_kafka_consume_start(t, 0, RD_KAFKA_OFFSET_BEGINNING) != 0)
        fail("consume", rd_kafka_err2str(rd_kafka_last_error()));
    rd_kafka_message_t *batch[1000];
    for (long n = 0; n < count;) {
        ssize_t got = rd_kafka_consume_batch(t, 0, 60000, batch, 1000);
        if (got <= 0)
            fail("consume", "nothing came within a minute");
        for (ssize_t i = 0; i < got; i++) {
            if (batch[i]->err)
                fail("consume", rd_kafka_message_errstr(batch[i]));
            rd_kafka_message_destroy(batch[i]);
        }
        n += got;
    }
    rd_kafka_consume_stop(t, 0);
    rd_kafka_topic_destroy(t);
    rd_kafka_destroy(rk);
}

int main(int argc, char **argv) {
    if (argc != 6)
        fail("usage", "client produce|consume BOOTSTRAP TOPIC COUNT SIZE");
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    set(conf, "bootstrap.servers", argv[2]);
    if (strcmp(argv[1], "produce") == 0)
        produce(conf, argv[3], atol(argv[4]), (size_t)atol(argv[5]));
    else
        consume(conf, argv[3], atol(argv[4]));
    return 0;
}
