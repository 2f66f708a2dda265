"""Train a small network on the handwritten digits that ship with scikit-learn: one epoch here, the rest on an agent.

    python examples/digits.py --epochs 10 --queue default

Without a server it only trains. With one (`batuta init`), the first epoch runs on this machine, so that a mistake shows
at once; then the script sends itself to the queue, ends here, and an agent trains the epochs that are left.
"""

from __future__ import annotations

import argparse

import numpy as np
from sklearn.datasets import load_digits
from sklearn.metrics import accuracy_score, log_loss
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier

from batuta import Task


def read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Digits: one epoch here, the rest on an agent.")
    parser.add_argument("--epochs", type=int, default=10, help="epochs in all")
    parser.add_argument("--learning-rate", type=float, default=0.002, help="step size of the optimizer")
    parser.add_argument("--batch-size", type=int, default=32, help="samples per step")
    parser.add_argument("--queue", default="default", help="the queue whose agents train on")
    return parser.parse_args()


def main() -> None:
    task = Task.init(project_name="examples", task_name="digits")
    arguments = read_arguments()  # parsed after init or before it: either way the server shows and may change them
    logger = task.get_logger()

    digits = load_digits()
    train_x, test_x, train_y, test_y = train_test_split(digits.data / 16.0, digits.target, random_state=0)
    network = MLPClassifier(hidden_layer_sizes=(64,), learning_rate_init=arguments.learning_rate, random_state=0)
    order = np.random.default_rng(0)

    # Epochs that an earlier run of this task has reported are trained again, as no checkpoint travels with the task,
    # but not reported again. The seeds make both runs the same.
    done = task.get_initial_iteration()
    for epoch in range(arguments.epochs):
        for batch in np.array_split(order.permutation(len(train_x)), len(train_x) // arguments.batch_size):
            network.partial_fit(train_x[batch], train_y[batch], classes=np.arange(10))
        if epoch < done:
            continue
        losses = {}
        for series, x, y in (("train", train_x, train_y), ("test", test_x, test_y)):
            losses[series] = log_loss(y, network.predict_proba(x))
            accuracy = accuracy_score(y, network.predict(x))
            logger.report_scalar("loss", series, losses[series], epoch - done)
            logger.report_scalar("accuracy", series, accuracy, epoch - done)
        print(
            f"epoch {epoch + 1}/{arguments.epochs}  loss {losses['train']:.4f}  test accuracy {accuracy:.4f}",
            flush=True,
        )
        if epoch == 0:
            task.execute_remotely(arguments.queue)  # on the agent this does nothing

    print(f"trained {arguments.epochs} epochs", flush=True)


if __name__ == "__main__":
    main()
