#!/usr/bin/env bash
#SBATCH --job-name=gpuclust
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=4
#SBATCH --gpus-per-task=1
#SBATCH --cpus-per-task=8
#SBATCH --mem-per-cpu=4G
#SBATCH --time=08:00:00
#SBATCH --signal=B:TERM@300
#SBATCH --output=gpuclust-%j.log
# A grid on the workers of one Slurm job, a worker per task; more jobs may work on the same root at once.
#
#   sbatch docker/slurm.sh grid.toml         with GPUCLUST_ROOT on a disk that all nodes share
#   bash docker/slurm.sh grid.toml           the same here, without Slurm: SLURM_NTASKS workers (2)
#
# The packages are those of the active environment. Five minutes before the time limit the running cells end,
# and the same sbatch line goes on from there. Further arguments go to `gpuclust grid`.
set -euo pipefail

grid=${1:?the grid file}
shift
export GPUCLUST_ROOT=${GPUCLUST_ROOT:?a folder on a disk that all nodes share}
id=${SLURM_JOB_ID:-$$} tasks=${SLURM_NTASKS:-2}
where=$(realpath -m "$GPUCLUST_ROOT")/cluster-$id
mkdir -p "$where"
chmod 700 "$where" # it gets the job's key

# The nodes of a cluster are shared: only who has this job's key may talk to its scheduler and its workers.
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj "/CN=gpuclust-$id" \
  -keyout "$where/key.pem" -out "$where/cert.pem" 2> /dev/null
export DASK_DISTRIBUTED__COMM__REQUIRE_ENCRYPTION=true DASK_DISTRIBUTED__COMM__TLS__CA_FILE=$where/cert.pem
for side in SCHEDULER WORKER CLIENT; do
  export "DASK_DISTRIBUTED__COMM__TLS__${side}__CERT=$where/cert.pem"
  export "DASK_DISTRIBUTED__COMM__TLS__${side}__KEY=$where/key.pem"
done
# Workers do not spill (what they would write to the disk are pickles), may compute for long without a sign of life,
# and may have processes of their own that decode images; units wait at the scheduler, not at a busy worker.
export DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL=None DASK_DISTRIBUTED__SCHEDULER__WORKER_SATURATION=1.0
export DASK_DISTRIBUTED__WORKER__DAEMON=False
export DASK_DISTRIBUTED__WORKER__MEMORY__TARGET=False DASK_DISTRIBUTED__WORKER__MEMORY__SPILL=False

# Each part in a session of its own: Ctrl-C comes to this script alone, which hands it on to the grid.
if [ -n "${SLURM_JOB_ID-}" ]; then
  host=${GPUCLUST_HOST:-$(hostname -I | cut -d ' ' -f 1)} # of the batch node, as the others see it
  on_all() { exec srun --ntasks="$tasks" --kill-on-bad-exit=0 "$@"; }
else
  host=127.0.0.1
  on_all() {
    trap 'kill $(jobs -p) 2> /dev/null; wait; exit' TERM
    for ((task = 0; task < tasks; task++)); do setsid "$@" & done
    wait
  }
fi

file=$where/scheduler.json
setsid dask scheduler --scheduler-file "$file" --protocol tls --host "$host" --port 0 \
  --dashboard-address 127.0.0.1:0 > "$where/scheduler.log" 2>&1 &
scheduler=$!
worker=(dask worker --scheduler-file "$file" --protocol tls --nthreads 1 --nworkers 1
  --dashboard-address 127.0.0.1:0 --death-timeout 120 --local-directory "${TMPDIR:-/tmp}")
[ "$host" != 127.0.0.1 ] || worker+=(--host "$host")
until [ -s "$file" ]; do
  kill -0 $scheduler || { cat "$where/scheduler.log"; exit 1; }
  sleep 1
done
on_all "${worker[@]}" > "$where/workers.log" 2>&1 &
workers=$!
# A scheduler that ends sends its workers home.
trap 'kill $scheduler 2> /dev/null; wait $scheduler; sleep 2; kill $workers 2> /dev/null; wait
  rm -f "$where"/*.pem "$file"' EXIT

# In the background, because bash waits for a command in front before it heeds a signal.
setsid "${GPUCLUST:-gpuclust}" grid "$grid" --scheduler "file:$file" "$@" &
job=$!
trap 'kill -INT $job' INT TERM
rc=0
wait $job || rc=$?
while kill -0 $job 2> /dev/null; do rc=0; wait $job || rc=$?; done # a signal ends `wait`, not the grid
exit $rc
