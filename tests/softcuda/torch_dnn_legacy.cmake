# cuDNN's functions from before the graph API, through PyTorch and by themselves.
softcuda_torch_test(dnn_legacy COMMAND ${softcuda_pytest} dnn_legacy/torch_layers.py)
softcuda_torch_test(dnn_legacy_faults COMMAND ${softcuda_pytest} dnn_legacy/torch_faults.py)
# Products of recurrent nets on tensor cores, where their math type allows it; everything under the disordered schedule.
softcuda_torch_test(dnn_legacy_tensorcore COMMAND ${softcuda_pytest} dnn_legacy/torch_layers.py -k "not reaches"
                    ENVIRONMENT SOFTCUDA_NUMERICS=tensorcore SOFTCUDA_SCHEDULE=adversarial)
add_subdirectory(dnn_legacy)
# PyTorch's older path to cuDNN, which knows no bf16.
softcuda_torch_test(dnn_legacy_convolutions
  COMMAND ${softcuda_pytest} dnn/convolutions.py -k "unusual or fused or test_tf32 or capture"
  ENVIRONMENT TORCH_CUDNN_V8_API_DISABLED=1 SOFTCUDA_NUMERICS=tensorcore)
