"""What norms do to training: with batch norm larger learning rates become usable, and the loss is smoother.

The same network learns scikit-learn's digits without a norm, with batch norm and with layer norm, at nine
learning rates from 1e-3 to 10. `replace_norms` makes the three networks of one, so the norm is a
hyperparameter like any other. While it trains, every fourth step is probed after Santurkar, Tsipras, Ilyas
and Madry ("How Does Batch Normalization Help Optimization?", NeurIPS 2018): from where it is, the network
looks ahead along the gradient, up to twice as far as the step, and notes how far the loss and the gradient of
the batch change on the way.

    python examples/smoother.py    # about a minute on two cores; writes smoother.png
"""

import argparse
import math
from pathlib import Path

import lightning as L
import torch
from torch import nn

from lightning_tune import Choice, GridSearch, TuneLoop
from lightning_tune._imports import require
from lightning_tune.demo import DigitsData
from lightning_tune.norm import replace_norms

RATES = [1e-3, 3e-3, 1e-2, 3e-2, 0.1, 0.3, 1.0, 3.0, 10.0]
NORMS = {"none": "no norm", "batch_norm": "batch norm", "layer_norm": "layer norm"}
PROBED = 0.1  # the rate of which the figure shows the probes
LOOK_AHEAD = (0.5, 1.0, 2.0)  # in steps
STYLES = {  # Okabe and Ito's colours, and a shape and a dash beside each
    "none": {"color": "#000000", "marker": "o", "linestyle": ":"},
    "batch_norm": {"color": "#0072B2", "marker": "s", "linestyle": "-"},
    "layer_norm": {"color": "#D55E00", "marker": "^", "linestyle": "--"},
}


class LitSmoother(L.LightningModule):
    def __init__(self, norm="batch_norm", lr=0.1, width=64):
        super().__init__()
        self.save_hyperparameters()
        self.net = nn.Sequential(
            *(nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2)),
            nn.Flatten(),
            *(nn.Linear(128, width), nn.BatchNorm1d(width), nn.ReLU()),
            *(nn.Linear(width, width), nn.BatchNorm1d(width), nn.ReLU()),
            *(nn.Linear(width, width), nn.BatchNorm1d(width), nn.ReLU()),
            nn.Linear(width, 10),
        )
        for layer in self.net:
            if isinstance(layer, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")  # a fair start without a norm, too
        replace_norms(self.net, to=norm)
        self.probes = []

    def training_step(self, batch, index):
        if index % 4 == 0:
            self.probes.append(self.probe(batch))
        return self.loss(batch)

    def validation_step(self, batch, index):
        images, labels = batch
        self.log("val_acc", (self.net(images).argmax(1) == labels).float().mean())

    def on_validation_epoch_end(self):
        if self.probes:  # none in the sanity check; of this epoch, the training's own means come later
            loss_range, gradient_change = torch.tensor(self.probes).mean(0)
            self.log_dict({"loss_range": loss_range, "gradient_change": gradient_change})
            self.probes.clear()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), self.hparams["lr"])

    def loss(self, batch, state=None):
        """Return the loss of a batch, at other parameters than the network's own if they are given."""
        images, labels = batch
        outputs = (
            self.net(images) if state is None else torch.func.functional_call(self.net, state, (images,))
        )
        return nn.functional.cross_entropy(outputs, labels)

    def probe(self, batch):
        """Return the range of the loss along the gradient, and the largest change of the gradient."""
        buffers = {name: buffer.clone() for name, buffer in self.net.named_buffers()}
        at = {name: parameter.detach().requires_grad_() for name, parameter in self.net.named_parameters()}
        loss, gradient = self.slope(batch, at, buffers)
        losses, changes = [loss], []
        for steps in LOOK_AHEAD:
            ahead = {
                name: (at[name] - steps * self.hparams["lr"] * slope).detach().requires_grad_()
                for name, slope in zip(at, gradient, strict=True)
            }
            loss, other = self.slope(batch, ahead, buffers)
            losses.append(loss)
            changes.append(sum((a - b).square().sum() for a, b in zip(gradient, other, strict=True)).sqrt())
        losses, changes = torch.stack(losses), torch.stack(changes)
        return losses.max() - losses.min(), changes.max()

    def slope(self, batch, parameters, buffers):
        """Return the loss at some parameters, and its gradient."""
        loss = self.loss(batch, {**parameters, **buffers})
        return loss.detach(), torch.autograd.grad(loss, list(parameters.values()))


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=10, help="epochs a network (%(default)s)")
    parser.add_argument("--root-dir", default="sweeps", help="the folder to write to (%(default)s)")
    parser.add_argument("--figure", type=Path, default=Path("smoother.png"), help="(%(default)s)")
    args = parser.parse_args(argv)
    require("sklearn.datasets", "examples", "the digits")
    require("matplotlib", "plot", "the figure")
    torch.set_num_threads(1)  # networks this small are no faster on two
    loop = TuneLoop(
        {"norm": Choice(list(NORMS)), "lr": Choice(RATES)},
        monitor="val_acc",
        mode="max",
        search=GridSearch(),
        max_trials=len(NORMS) * len(RATES),
        trainer={"max_epochs": args.epochs, "accelerator": "cpu"},
        logger=False,
        root_dir=args.root_dir,
        name="smoother",
        overwrite=True,
        keep_checkpoints=0,
    )
    result = loop.fit(LitSmoother, datamodule=DigitsData)
    trials = {(trial.config["norm"], trial.config["lr"]): trial for trial in result.trials}
    print(f"\nBest validation accuracy\n{'rate':>6}" + "".join(f"{label:>12}" for label in NORMS.values()))
    for rate in RATES:
        print(f"{rate:>6g}" + "".join(f"{trials[norm, rate].score or math.nan:12.3f}" for norm in NORMS))
    draw(args.figure, trials)
    print(f"Figure: {args.figure}")


def draw(path, trials):
    """Write the figure: accuracy over rates, and at one rate the two measures of smoothness over epochs."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (accuracy, loss, gradient) = pyplot.subplots(1, 3, figsize=(12, 3.8), layout="constrained")
    for norm, label in NORMS.items():
        style = {"label": label, "linewidth": 1.8, "markersize": 5.5, **STYLES[norm]}
        accuracy.plot(RATES, [trials[norm, rate].score for rate in RATES], **style)
        reports = trials[norm, PROBED].reports
        epochs = [report.step for report in reports]
        loss.plot(epochs, [report.metrics["loss_range"] for report in reports], **style)
        gradient.plot(epochs, [report.metrics["gradient_change"] for report in reports], **style)
    accuracy.axhline(0.1, color="#999999", linewidth=1, zorder=0)
    accuracy.annotate(
        "chance", (RATES[0], 0.1), (0, 3), textcoords="offset points", color="#666666", fontsize=9
    )
    accuracy.set(title="Best accuracy", xlabel="learning rate", xscale="log", ylim=(0, 1.02))
    loss.set(title=f"Range of the loss along a step, rate {PROBED:g}", xlabel="epoch", yscale="log")
    gradient.set(title=f"Change of the gradient along it, rate {PROBED:g}", xlabel="epoch", yscale="log")
    for panel in (accuracy, loss, gradient):
        panel.grid(alpha=0.3)
        panel.spines[["top", "right"]].set_visible(False)
    figure.legend(*accuracy.get_legend_handles_labels(), loc="outside upper center", ncols=3, frameon=False)
    figure.savefig(path, dpi=150)
    pyplot.close(figure)


if __name__ == "__main__":
    main()
