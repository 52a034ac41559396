"""The whole story of each error code of manifests, for `kdl explain`: title, explanation, an example."""

from __future__ import annotations

from typing import Final, NamedTuple


class Story(NamedTuple):
    """What a code means, why it is an error and how to mend it; the example shows a mistake and its mending."""

    title: str
    text: str
    example: str


STORIES: Final[dict[str, Story]] = {
    "KDL501": Story(
        "a manifest cannot be read",
        "The file or folder is not there, may not be read, is not UTF-8 text, or is a folder without any .yaml, "
        ".yml or .json file. Folders are read without the folders inside of them. `-` stands for standard input.",
        "kdl apply -f web.yml        # but the file is web.yaml",
    ),
    "KDL502": Story(
        "the text is not YAML",
        "The text breaks the syntax of YAML, or uses a part of YAML that has no meaning in a manifest: tags, or "
        "keys that are not text. The usual reasons are indentation, tabs, a value that contains `: ` without "
        "quotes, and templates that have not been rendered. As in Kubernetes, `yes`, `no`, `on` and `off` are "
        "booleans, `0644` is an octal number, and times stay text.",
        "command: echo a: b          # wrong\ncommand: 'echo a: b'        # right",
    ),
    "KDL503": Story(
        "a key is written twice",
        "A mapping has the same key twice. Most readers keep the last one silently; a manifest that says two "
        "things is a mistake, so it is refused.",
        "labels:\n  app: web\n  app: shop                 # which one?",
    ),
    "KDL504": Story(
        "a document is too deep or too large",
        "Values nest more than 100 deep, or aliases stand for more than 200,000 values, or an alias is inside of "
        "its own anchor. No real manifest does that; text made to exhaust memory does.",
        "a: &a [*a]",
    ),
    "KDL505": Story(
        "a document is not an object",
        "Every document of a manifest is a mapping that says its `apiVersion` and its `kind`. Empty documents are "
        "skipped.",
        "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: web",
    ),
    "KDL506": Story(
        "an unknown kind",
        "Nobody knows this kind, or not in this `apiVersion`. Older versions (extensions/v1beta1, apps/v1beta1 and "
        "so on) are converted. A kind of your own becomes known by its CustomResourceDefinition, which may stand "
        "anywhere in the same load.",
        "apiVersion: v1              # wrong\napiVersion: apps/v1         # right\nkind: Deployment",
    ),
    "KDL510": Story(
        "an unknown field",
        "The kind has no field of this name at this place. Kubernetes drops such fields in some ways of loading, "
        "and then the object quietly does not do what was written. Names are case-sensitive. The help names the "
        "nearest field, or the place to which the field belongs: the usual reason is indentation.",
        "spec:\n  replica: 3                # wrong\n  replicas: 3               # right",
    ),
    "KDL511": Story(
        "a missing field",
        "A field without which the object has no meaning is absent, null or empty.",
        "containers:\n- name: web                 # wrong: no image\n\ncontainers:\n- name: web\n  image: web:1",
    ),
    "KDL512": Story(
        "a value of the wrong type",
        "The field wants another type: text, an integer, a boolean, a list, a mapping, base64 text or a time. In "
        "YAML a value without quotes may be a number or a boolean (`8080`, `1.10`, `yes`), which labels, "
        "annotations, variables and ConfigMaps do not take.",
        "env:\n- name: PORT\n  value: 8080               # wrong\n  value: '8080'             # right",
    ),
    "KDL513": Story(
        "a word that the field does not know",
        "The field takes one of a few words, in exactly that writing. In a Job, `restartPolicy` must be "
        "`OnFailure` or `Never`; in the other controllers `Always`, which is also what an absent one means.",
        "imagePullPolicy: always     # wrong\nimagePullPolicy: Always     # right",
    ),
    "KDL514": Story(
        "a malformed name",
        "Names become DNS names, file names or parts of addresses, so that most are lowercase letters, digits and "
        "`-`, at most 63 characters (253 with dots). Ports have names of at most 15 characters. Paths inside of "
        "volumes are relative and without `..`. Schedules have five fields.",
        "name: Web_Server            # wrong\nname: web-server            # right",
    ),
    "KDL515": Story(
        "a malformed label or annotation",
        "A label's key is a word of at most 63 letters, digits, `-`, `_` and `.`, possibly after a DNS name and "
        "`/`; its value is such a word or empty. Annotations have the same keys and any text, at most 256 KiB "
        "together.",
        "labels:\n  owner: the shop team      # wrong\nannotations:\n  example.com/owner: the shop team",
    ),
    "KDL516": Story(
        "a malformed quantity",
        "A quantity is a number with an optional suffix: `m`, `k`, `M`, `G`, `T`, `P`, `E` (powers of ten), `Ki`, "
        "`Mi`, `Gi`, `Ti`, `Pi`, `Ei` (powers of two), or an exponent.",
        "memory: 64MB                # wrong\nmemory: 64M                 # right, or 64Mi",
    ),
    "KDL517": Story(
        "a request over its limit",
        "A container asks for more of a resource than it may use. Extended resources such as GPUs cannot be "
        "overcommitted: request and limit are equal.",
        "resources:\n  requests: {cpu: 500m}\n  limits: {cpu: 200m}       # wrong: at least 500m",
    ),
    "KDL518": Story(
        "something is there twice",
        "Names of containers and volumes are unique in a pod, names of ports in a container or service, mount "
        "paths in a container, host ports in a pod, ports in a service.",
        "containers:\n- {name: web, image: 'web:1'}\n- {name: web, image: 'log:1'}     # wrong",
    ),
    "KDL519": Story(
        "a number out of range",
        "Ports are 1 to 65535, node ports 30000 to 32767, counts and periods not negative; other fields say their "
        "range in the message. A port number is written without quotes: in quotes it would be a port's name.",
        "containerPort: 80800        # wrong",
    ),
    "KDL520": Story(
        "a selector that does not select its template",
        "A controller finds its pods by its selector, so the labels of its template must match it, and it must not "
        "be empty. Otherwise it would make pods for ever without finding them.",
        "selector:\n  matchLabels: {app: web}\ntemplate:\n  metadata:\n    labels: {app: wbe}      # wrong",
    ),
    "KDL521": Story(
        "not exactly one of several fields",
        "Some mappings hold one of several alternatives: a probe has one handler, a volume one source, a variable "
        "a value or a source, a peer of a policy either an address block or selectors.",
        "readinessProbe:\n  periodSeconds: 5          # wrong: no handler\n  tcpSocket: {port: 80}     # right",
    ),
    "KDL522": Story(
        "a malformed address or network",
        "An address is IPv4 or IPv6; a network is an address, `/` and the length of its prefix. The exceptions of "
        "an address block lie strictly inside of it.",
        "cidr: 10.0.0.1              # wrong\ncidr: 10.0.0.1/32           # right",
    ),
    "KDL523": Story(
        "fields that contradict each other",
        "Each field is right by itself, but not together with another: a mount of a volume that the pod does not "
        "have, a node port on a service that is not of this type, a rolling update that may neither add nor remove "
        "a pod.",
        "spec:\n  type: ClusterIP\n  ports: [{port: 80, nodePort: 30080}]    # wrong: needs type NodePort",
    ),
    "KDL524": Story(
        "an object is written twice",
        "Two documents of one load have the same kind, namespace and name. Which one counts would depend on the "
        "order of files, so neither does.",
        "kind: Service\nmetadata: {name: web}\n---\nkind: Service\nmetadata: {name: web}    # wrong",
    ),
}
"""Code → its story."""
