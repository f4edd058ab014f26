# cuDNN's functions from before the graph API, through PyTorch and by themselves.
softcuda_torch_test(dnn_legacy COMMAND ${softcuda_pytest} dnn_legacy/torch_layers.py)
softcuda_torch_test(dnn_legacy_adversarial COMMAND ${softcuda_pytest} dnn_legacy/torch_layers.py -k "not reaches"
                    ENVIRONMENT SOFTCUDA_SCHEDULE=adversarial)
add_subdirectory(dnn_legacy)
