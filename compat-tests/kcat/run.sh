#!/usr/bin/env bash
# kcat against a broker: run.sh HOST:PORT. Each check prints ok or FAILED; the exit status is 1 when one failed.
set -uo pipefail
broker=${1:?usage: run.sh HOST:PORT}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
failed=0 passed=0
run=$RANDOM$RANDOM
k=(timeout 60 kcat -b "$broker")

# check NAME WANT GOT
check() {
  if [ "$2" = "$3" ]; then
    passed=$((passed + 1))
    echo "ok      $1"
  else
    failed=$((failed + 1))
    echo "FAILED  $1"
    echo "  want: $(head -c 300 <<<"$2")"
    echo "  got:  $(head -c 300 <<<"$3")"
  fi
}

# A topic is made by asking for its metadata: kcat has no command for it.
topic() {
  local name=kcat-$run-$1
  for _ in $(seq 100); do
    "${k[@]}" -L -t "$name" 2>/dev/null | grep -q "topic \"$name\" with 1 partitions" && break
    echo -n | "${k[@]}" -P -t "$name" -p 0 2>/dev/null
    sleep 0.1
  done
  echo "$name"
}

consume() { # TOPIC [kcat option …]
  local t=$1
  shift
  "${k[@]}" -C -t "$t" -p 0 -e -q "$@" 2>&1
}

t=$(topic basic)
seq 1 10 | "${k[@]}" -P -t "$t" -p 0
check "-L lists the broker and the topic" 2 "$("${k[@]}" -L | grep -cE "^  broker 1 at 127.0.0.1:${broker##*:}( |$)|topic \"$t\" with 1 partitions")"
check "-L -J is JSON" "$t" "$("${k[@]}" -L -J -t "$t" | tr ',{' '\n\n' | sed -n 's/.*"topic":"\([^"]*\)".*/\1/p' | head -1)"
check "consume all" "$(seq 1 10)" "$(consume "$t" -o beginning)"
check "-o 4" "$(seq 5 10)" "$(consume "$t" -o 4)"
check "-o -3" "$(seq 8 10)" "$(consume "$t" -o -3)"
check "-o end" "" "$(consume "$t" -o end)"
check "-c 2" "$(seq 1 2)" "$(consume "$t" -o beginning -c 2)"
check "-Q at -2" "$t [0] offset 0" "$("${k[@]}" -Q -t "$t:0:-2")"
check "-Q at -1" "$t [0] offset 10" "$("${k[@]}" -Q -t "$t:0:-1")"
check "-Q at a time to come" "$t [0] offset -1" "$("${k[@]}" -Q -t "$t:0:99999999999999")"
check "-Q of an old time" "$t [0] offset 0" "$("${k[@]}" -Q -t "$t:0:1000")"

t=$(topic transactions)
seq 1 5 | "${k[@]}" -P -t "$t" -p 0 -X transactional.id="$t" 2>/dev/null
check "a transaction, read committed" "$(seq 1 5)" "$(consume "$t" -o beginning -X isolation.level=read_committed)"

t=$(topic times)
echo one | "${k[@]}" -P -t "$t" -p 0
sleep 0.05
ms=$(date +%s%3N)
sleep 0.05
printf 'two\nthree\n' | "${k[@]}" -P -t "$t" -p 0
check "-o s@ts" "$(printf 'two\nthree')" "$(consume "$t" -o "s@$ms")"
check "-o s@ts and e@ts" "one" "$(consume "$t" -o s@1000 -o "e@$ms")"
check "-Q at a timestamp" "$t [0] offset 1" "$("${k[@]}" -Q -t "$t:0:$ms")"

t=$(topic keys)
printf 'k1:v1\nk2:\n:v3\nnokey\n' | "${k[@]}" -P -t "$t" -p 0 -K: -Z
check "-K and -Z: keys, null values and null keys" "$(printf 'k1=v1 2 2\nk2= 2 -1\n=v3 -1 2\n=nokey -1 5')" "$(consume "$t" -o beginning -f '%k=%s %K %S\n')"
check "-J: nulls" "$(printf '"k1" "v1"\n"k2" null\nnull "v3"\nnull "nokey"')" \
  "$(consume "$t" -o beginning -J | sed 's/.*"key":\([^,]*\),.*"payload":\([^,}]*\)}/\1 \2/')"

t=$(topic headers)
echo v | "${k[@]}" -P -t "$t" -p 0 -H a=1 -H b=two -H a=3 -k key
check "-H and -f %h" "key v a=1,b=two,a=3 0 0" "$(consume "$t" -o beginning -f '%k %s %h %o %p\n')"

for codec in none gzip snappy lz4 zstd; do
  t=$(topic "codec-$codec")
  seq 1 5000 | "${k[@]}" -P -t "$t" -p 0 -z $codec
  check "codec $codec" "$(seq 1 5000 | sha256sum)" "$(consume "$t" -o beginning | sha256sum)"
done
for acks in 0 1 all; do
  t=$(topic "acks-$acks")
  seq 1 1000 | "${k[@]}" -P -t "$t" -p 0 -X acks=$acks
  [ $acks = 0 ] && sleep 0.5
  check "acks $acks" "$(seq 1 1000 | sha256sum)" "$(consume "$t" -o beginning | sha256sum)"
done
t=$(topic idempotent)
seq 1 20000 | "${k[@]}" -P -t "$t" -p 0 -X enable.idempotence=true -X linger.ms=1 -X batch.num.messages=50
check "idempotent, in order" "$(seq 1 20000 | sha256sum)" "$(consume "$t" -o beginning | sha256sum)"

t=$(topic megabyte)
head -c 750000 /dev/urandom | base64 -w0 >big
"${k[@]}" -P -t "$t" -p 0 -X message.max.bytes=1048588 big
check "a record of 1 MB" "$(sha256sum <big)" "$(consume "$t" -o beginning | head -c "$(stat -c %s big)" | sha256sum)"
t=$(topic toobig)
head -c 1500000 /dev/urandom | base64 -w0 >huge
"${k[@]}" -P -t "$t" -p 0 -X message.max.bytes=5000000 huge 2>err
check "a record of 2 MB is refused" "1 offset 0" "$(grep -ci 'message size too large' err) $("${k[@]}" -Q -t "$t:0:-1" | sed 's/.*\] //')"

t=$(topic offsets)
seq 1 3 | "${k[@]}" -P -t "$t" -p 0
check "an offset out of range is an error" 1 "$(consume "$t" -o 99 -X auto.offset.reset=error | grep -ci 'out of range')"
check "a bad topic name is an error" 1 "$("${k[@]}" -L -t 'no good' 2>&1 | grep -ci 'invalid topic')"
for v in 0.10.0 1.0.0 2.0.0; do
  check "broker.version.fallback $v without ApiVersions" "$(seq 1 3)" "$(consume "$t" -o beginning -X api.version.request=false -X broker.version.fallback=$v 2>&1 | head -3)"
done

t=$(topic million)
seq 1 1000000 | awk '{ printf "%010d-abcdefghijklmnopqrstuvwxyz-ABCDEFGHIJKLMNOPQRSTUVWXYZ-0123456789-abcdefghijklmnopqrstuvwx\n", $1 }' >million
check "a line has 100 bytes" 100 "$(head -1 million | tr -d '\n' | wc -c)"
start=$(date +%s.%N)
timeout 300 kcat -b "$broker" -P -t "$t" -p 0 -l million 2>err
produced=$(date +%s.%N)
timeout 300 kcat -b "$broker" -C -t "$t" -p 0 -o beginning -e -q >back 2>>err
end=$(date +%s.%N)
check "1,000,000 records of 100 bytes and back" "$(sha256sum <million)" "$(sha256sum <back)"
check "no error of the client" "" "$(cat err)"
awk -v a="$start" -v b="$produced" -v c="$end" 'BEGIN { printf "        produced in %.2f s, consumed in %.2f s\n", b - a, c - b }'

echo "kcat: $passed ok, $failed failed"
[ $failed = 0 ]
