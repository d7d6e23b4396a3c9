"""The paper (objective, labels, noise, recipes, train), the machine under it (layers, optim, backend) and its borders (data, report, checkpoint)."""
