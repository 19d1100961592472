/* SPDX-License-Identifier: Apache-2.0
 *
 * The front with its threads and real sockets: callers on threads of their own that ask, cancel and vanish, an owner who
 * answers from two threads, and others who look on, change the codec and stop it. For ThreadSanitizer, for the seconds
 * that the argument says.
 */
#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "front_rig.h"
#include "oip_target.h"

#define CALLERS 6
#define OWNERS 2
#define CALLS 50 /* of a connection */

static const uint8_t greeting[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0";
static const char *const paths[] = {"/test.Service/Infer", "/test.Service/Unary", "/test.Service/Stream",
                                    "/test.Service/Infers"};
static const uint8_t ok_fields[] = "\x0b\0\0\0\1\0\0\0grpc-status0";

static front *served;
static uint16_t port;
static atomic_int stopped, closed;
static atomic_ulong asked, answered, connections;

static uint64_t next(uint64_t *state) { /* xorshift64* (Vigna 2016) */
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * UINT64_C(2685821657736338717) >> 11;
}

static int listen_somewhere(void) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    const int made = socket(AF_INET, SOCK_STREAM, 0);
    REQUIRE(made >= 0 && bind(made, (struct sockaddr *)&address, size) == 0 && listen(made, 100) == 0);
    REQUIRE(getsockname(made, (struct sockaddr *)&address, &size) == 0);
    port = ntohs(address.sin_port);
    return made;
}

static int connect_there(void) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const int made = socket(AF_INET, SOCK_STREAM, 0);
    REQUIRE(made >= 0);
    if (connect(made, (struct sockaddr *)&address, sizeof address) == 0) return made;
    close(made);
    return -1;
}

/* One call of a random kind, ended or not. */
static uint8_t *put_call(uint8_t *at, uint32_t id, uint64_t *state) {
    static const uint8_t coded[] = "\x40\x01n\x86\xa8\xeb\x10\x64\x9c\xbf"; /* a value by Huffman, for the table */
    uint8_t block[RIG_BLOCK], message[RIG_BLOCK] = {0};
    const int kind = (int)(next(state) % 4);
    const struct oip_seed *seed = &oip_seeds[next(state) % oip_seed_count];
    uint8_t *end = rig_put_request(block, kind);
    memcpy(end, coded, sizeof coded - 1);
    end += sizeof coded - 1;
    at = rig_put_frame(at, FRAME_HEADERS, FLAG_END_HEADERS, id, block, (size_t)(end - block));
    message[4] = (uint8_t)seed->size;
    memcpy(message + GRPC_PREFIX, seed->bytes, seed->size);
    for (uint64_t count = kind < RIG_STREAM ? 1 : next(state) % 4; count > 0; count--) {
        at = rig_put_frame(at, FRAME_DATA, 0, id, message, GRPC_PREFIX + seed->size);
    }
    if (next(state) % 8) at = rig_put_frame(at, FRAME_DATA, FLAG_END_STREAM, id, NULL, 0);
    if (next(state) % 8 == 0) at = rig_put_frame(at, FRAME_RST_STREAM, 0, id, message, 4);
    return at;
}

static void *call(void *argument) {
    uint64_t state = (uint64_t)(uintptr_t)argument;
    while (!atomic_load(&stopped)) {
        const int there = connect_there();
        if (there < 0) continue;
        atomic_fetch_add(&connections, 1);
        uint8_t data[16384];
        ssize_t got = send(there, greeting, sizeof greeting - 1, MSG_NOSIGNAL);
        for (uint32_t id = 1; got > 0 && id < 2 * CALLS; id += 2) {
            const size_t size = (size_t)(put_call(data, id, &state) - data);
            atomic_fetch_add(&asked, 1);
            got = send(there, data, size, MSG_NOSIGNAL);
            if (got > 0 && next(&state) % 4 == 0) got = recv(there, data, sizeof data, 0);
        }
        close(there);
    }
    return NULL;
}

static pthread_mutex_t taking = PTHREAD_MUTEX_INITIALIZER; /* what was taken is given back by the next who takes */

static void *own(void *argument) {
    uint64_t state = (uint64_t)(uintptr_t)argument;
    while (!atomic_load(&closed)) {
        struct pollfd waiting = {.fd = front_descriptor(served), .events = POLLIN};
        poll(&waiting, 1, 10);
        front_event events[16];
        uint64_t calls[16];
        pthread_mutex_lock(&taking);
        const size_t count = front_take(served, events, 16);
        size_t sum = 0;
        for (size_t i = 0; i < count; i++) {
            calls[i] = events[i].call;
            for (size_t k = 0; k < events[i].data_bytes; k++) sum += events[i].data[k];
            for (size_t k = 0; k < events[i].fields_bytes; k++) sum += events[i].fields[k];
        }
        pthread_mutex_unlock(&taking);
        for (size_t i = 0; i < count; i++) {
            static const uint8_t bytes[40000];
            front_read(served, calls[i], 1000);
            switch ((next(&state) + sum) % 4) {
                case 0: answered += (unsigned long)front_answer(served, calls[i], bytes, next(&state) % sizeof bytes); break;
                case 1: front_send(served, calls[i], bytes, next(&state) % sizeof bytes); break;
                case 2: front_begin(served, calls[i], ok_fields, sizeof ok_fields - 1); break;
                default: answered += (unsigned long)front_finish(served, calls[i], ok_fields, sizeof ok_fields - 1);
            }
        }
    }
    return NULL;
}

static void *look_on(void *argument) {
    static uint8_t answer[2][1 << 16];
    static oip_server codecs[2];
    const oip_table *table = NULL;
    (void)argument;
    for (int i = 0; i < 2; i++) table = oip_target_server(&codecs[i], answer[i], sizeof answer[i]);
    for (int i = 0; !atomic_load(&stopped); i++) {
        front_serve(served, &codecs[i % 2], i % 3 ? table : NULL);
        (void)front_running(served);
        front_hold(served);
        front_go_on(served);
        (void)front_in_use(served);
        front_free(front_new(&rig_limits)); /* another one beside it */
        const struct timespec moment = {0, 1000000};
        nanosleep(&moment, NULL);
    }
    front_serve(served, NULL, NULL);
    return NULL;
}

int main(int argc, char **argv) {
    pthread_t callers[CALLERS], owners[OWNERS], other;
    front_limits limits = rig_limits;
    limits.workers = 2;
    limits.waiting = 4; /* so that some calls find no place */
    served = front_new(&limits);
    REQUIRE(served != NULL);
    for (int i = 0; i < 4; i++) {
        const int kinds[] = {FRONT_INFER, FRONT_UNARY, FRONT_STREAM, FRONT_INFERS};
        REQUIRE(front_method(served, (const uint8_t *)paths[i], strlen(paths[i]), kinds[i]) == i);
    }
    REQUIRE(front_listen(served, listen_somewhere()) == 0 && front_start(served) == 0);
    REQUIRE(pthread_create(&other, NULL, look_on, NULL) == 0);
    for (uintptr_t i = 0; i < OWNERS; i++) REQUIRE(pthread_create(&owners[i], NULL, own, (void *)(i + 1)) == 0);
    for (uintptr_t i = 0; i < CALLERS; i++) REQUIRE(pthread_create(&callers[i], NULL, call, (void *)(i + 77)) == 0);
    sleep(argc > 1 ? (unsigned)atoi(argv[1]) : 10);
    front_refuse(served, ok_fields, sizeof ok_fields - 1);
    front_stop(served, 100);
    atomic_store(&stopped, 1);
    for (int i = 0; i < CALLERS; i++) pthread_join(callers[i], NULL);
    pthread_join(other, NULL);
    atomic_store(&closed, 1);
    for (int i = 0; i < OWNERS; i++) pthread_join(owners[i], NULL);
    front_event event;
    while (front_take(served, &event, 1)) continue;
    REQUIRE(front_in_use(served) == front_core(served)->served);
    REQUIRE(front_running(served) == 0 && front_core(served)->held == 0 && front_core(served)->first == NULL);
    front_free(served);
    printf("%lu connections, %lu calls, %lu answered by their owner\n", connections, asked, answered);
    return 0;
}
