from __future__ import annotations

from toppose.info import placements

HEAD = "2026-01-01 00:00:00.1 [V:onnxruntime:, session_state.cc:15 VerifyEachNodeIsAssignedToAnEp] "


def test_nodes_are_read_from_the_log():
    one = [HEAD + "Node placements", HEAD + " All nodes placed on [CPUExecutionProvider]. Number of nodes: 21", "[V] something (else)"]
    assert placements(one) == {"CPUExecutionProvider": ["all 21"]}
    two = [
        HEAD + " Node(s) placed on [CUDAExecutionProvider]. Number of nodes: 2",
        HEAD + "  Conv (/a/Conv)",
        HEAD + "  Relu (/a/Relu)",
        HEAD + " Node(s) placed on [CPUExecutionProvider]. Number of nodes: 1",
        HEAD + "  Gather (/b/Gather (1))",
    ]
    assert placements(two) == {"CUDAExecutionProvider": ["Conv (/a/Conv)", "Relu (/a/Relu)"], "CPUExecutionProvider": ["Gather (/b/Gather (1))"]}
