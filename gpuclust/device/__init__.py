"""CPU and GPU backends, device memory, host-device copies, threads and facts of the machine."""
