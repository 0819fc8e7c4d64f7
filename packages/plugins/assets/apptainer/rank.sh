# Started once per rank by srun or mpirun: rank.sh PREFIX COMMAND…
# What they say to a rank is in its environment, of which a container gets nothing but what bears the runtime's prefix.
# What the pod sets itself stays.
prefix=$1
shift
for name in $(env | sed -n 's/^\([A-Za-z_][A-Za-z0-9_]*\)=.*/\1/p'); do
  case $name in
  SLURM_JWT) continue ;;
  SLURM*_* | PMI_* | PMI2_* | PMIX_* | PRTE_* | PALS_* | FLUX_* | OMPI_* | OPAL_* | MPI_* | MPICH_* | MV2_* | I_MPI_* | HYDRA_* | UCX_* | FI_* | NCCL_* | RCCL_*) ;;
  CUDA_VISIBLE_DEVICES | NVIDIA_VISIBLE_DEVICES | ROCR_VISIBLE_DEVICES | HIP_VISIBLE_DEVICES | ZE_AFFINITY_MASK | GPU_DEVICE_ORDINAL) ;;
  *) continue ;;
  esac
  # A line of another variable's value may look like one.
  eval "[ \"\${$name+x}\" ] && [ -z \"\${$prefix$name+x}\" ]" || continue
  eval "export $prefix$name=\"\$$name\""
done
exec "$@"
