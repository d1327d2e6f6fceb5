#!/bin/sh
# Prints the lines of peer.jsonl: what the peer programs say of every attention that they have, in three shapes, and of
# decoding, on the CPU. PYTHON is one that has torch 2.11.0; OMP_NUM_THREADS=1 was set. The times are of no account.
cd "$(dirname "$0")/../../benches/peers" || exit 1
train() {
    "${PYTHON:-python3}" torch_peer.py --device cpu --precision fp32 --form naive --run eager --repeats 1 --warmup 0 \
        --seconds 0.1 "$@"
}
train --seq-len 20 --batch 2 --d-model 32 --heads 4 --d-ff 48 --layers 2 --vocab 50
train --seq-len 7 --batch 1 --d-model 12 --heads 3 --d-ff 9 --layers 1 --vocab 11
train --seq-len 256 --batch 1
"${PYTHON:-python3}" torch_decode_peer.py --device cpu --precision fp32 --run eager --repeats 1 --batch 1,2 \
    --attention vanilla,random,fixed-random,factorized-random \
    --seq-len 20 --new 10 --d-model 32 --heads 4 --d-ff 48 --layers 2 --vocab 50
