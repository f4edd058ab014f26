add_subdirectory(dnn)
# cuDNN's backend graphs through PyTorch, under both numerics and under the disordered schedule.
softcuda_torch_test(dnn COMMAND ${softcuda_pytest} dnn)
softcuda_torch_test(dnn_tensorcore COMMAND ${softcuda_pytest} dnn -k "not float64 and not faults" ENVIRONMENT
                    "SOFTCUDA_NUMERICS=tensorcore;SOFTCUDA_SCHEDULE=adversarial")
