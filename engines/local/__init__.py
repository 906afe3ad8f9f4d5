"""The embedded default: a language model that runs beside the service.

engine           the engine: which prompt is decoded, and under which constraint
tool_decision    whether a message needs a tool, and which
prompts          messages and tools as the model's chat template has them
grammar          JSON Schema → a grammar that the decoder cannot leave
server_process   starts, watches and restarts the model's process
server_protocol  what the service and that process send each other
server_main      that process: llama.cpp's server on a loopback port
model_file       the model's file: joined from its packages, and checked
"""
