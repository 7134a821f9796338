// A form with data-relay is sent on at once. Without this script its button does.

document.querySelector("form[data-relay]")?.requestSubmit();
