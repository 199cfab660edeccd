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
# Compute a grid in one Slurm job, with one Dask worker per task. Several jobs can share one GPUCLUST_ROOT.
#
#   sbatch docker/slurm.sh grid.toml         GPUCLUST_ROOT must be on a disk shared by all nodes
#   bash docker/slurm.sh grid.toml           without Slurm: SLURM_NTASKS workers (2) on this machine
#
# Uses the packages of the active environment. Five minutes before the time limit the job finishes the running
# cells and stops; run the same sbatch line to continue. Further arguments go to `gpuclust grid`.
set -euo pipefail

grid=${1:?the grid file}
shift
export GPUCLUST_ROOT=${GPUCLUST_ROOT:?a folder on a disk that all nodes share}
id=${SLURM_JOB_ID:-$$} tasks=${SLURM_NTASKS:-2}
where=$(realpath -m "$GPUCLUST_ROOT")/cluster-$id
mkdir -p "$where"
chmod 700 "$where" # will contain the job's key

# Other users share the nodes: scheduler and workers accept only connections with this job's key.
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj "/CN=gpuclust-$id" \
  -keyout "$where/key.pem" -out "$where/cert.pem" 2> /dev/null
export DASK_DISTRIBUTED__COMM__REQUIRE_ENCRYPTION=true DASK_DISTRIBUTED__COMM__TLS__CA_FILE=$where/cert.pem
for role in SCHEDULER WORKER CLIENT; do
  export "DASK_DISTRIBUTED__COMM__TLS__${role}__CERT=$where/cert.pem"
  export "DASK_DISTRIBUTED__COMM__TLS__${role}__KEY=$where/key.pem"
done
# Workers do not spill to disk (spilled data are pickles), are not restarted during a long computation, and may start
# processes that decode images; units wait at the scheduler, not at a busy worker.
export DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL=None DASK_DISTRIBUTED__SCHEDULER__WORKER_SATURATION=1.0
export DASK_DISTRIBUTED__WORKER__DAEMON=False
export DASK_DISTRIBUTED__WORKER__MEMORY__TARGET=False DASK_DISTRIBUTED__WORKER__MEMORY__SPILL=False

# Every process gets its own session, so that Ctrl-C reaches this script only, which forwards it to the grid.
if [ -n "${SLURM_JOB_ID-}" ]; then
  host=${GPUCLUST_HOST:-$(hostname -I | cut -d ' ' -f 1)} # address of the batch node for the other nodes
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
# Workers end when their scheduler ends.
trap 'kill $scheduler 2> /dev/null; wait $scheduler; sleep 2; kill $workers 2> /dev/null; wait
  rm -f "$where"/*.pem "$file"' EXIT

# In the background, because bash handles a signal only after a foreground command has ended.
setsid "${GPUCLUST:-gpuclust}" grid "$grid" --scheduler "file:$file" "$@" &
job=$!
trap 'kill -INT $job' INT TERM
rc=0
wait $job || rc=$?
while kill -0 $job 2> /dev/null; do rc=0; wait $job || rc=$?; done # a signal interrupts `wait`, not the grid
exit $rc
