// Links to MLflow. Only MLflow's store knows a run's address, so it is asked when somebody wants to go there.

import { Refusal, ask, ofStudy } from "./api.js";
import { el, toast } from "./dom.js";

const NEEDS = "needs `grokstudy mlflow` running";

/** A button that becomes a link to the study, or to one of its trials, in MLflow. */
export function mlflowButton(study, trial) {
  const button = el("button", { type: "button", class: "mlflow", title: NEEDS, onclick: () => find(button, study, trial) }, "MLflow");
  return button;
}

async function find(button, study, trial) {
  button.disabled = true; // the first question loads MLflow and takes seconds
  try {
    const { url } = await ask(ofStudy(study, "mlflow"), trial ? { trial } : {});
    const link = el("a", { class: "button mlflow", href: url, target: "_blank", rel: "noopener", title: NEEDS }, "Open in MLflow");
    button.replaceWith(link);
    link.focus();
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    toast(error.message);
    button.disabled = false;
  }
}
