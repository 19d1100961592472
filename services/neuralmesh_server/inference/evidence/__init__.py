"""What a node can show for its answers: receipts, their replay, and proofs."""
