{{- define "kedge.fullname" -}}
{{- if contains "kedge" .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-kedge" (.Release.Name | trunc 34 | trimSuffix "-") -}}
{{- end -}}
{{- end -}}

{{/* A Job cannot be changed: each revision has one of its own. */}}
{{- define "kedge.job" -}}
{{- printf "%s-%s-%d" (include "kedge.fullname" .) .Values.mode (int .Release.Revision) -}}
{{- end -}}

{{- define "kedge.selector" -}}
app.kubernetes.io/name: kedge
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "kedge.labels" -}}
{{ include "kedge.selector" . }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "kedge.serviceAccount" -}}
{{- .Values.serviceAccount.name | default (include "kedge.fullname" .) -}}
{{- end -}}

{{- define "kedge.claim" -}}
{{- .Values.state.existingClaim | default (printf "%s-state" (include "kedge.fullname" .)) -}}
{{- end -}}

{{- define "kedge.image" -}}
{{- $repository := required "image.repository: where is kedge's image?" .Values.image.repository -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" $repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" $repository .Values.image.tag -}}
{{- end -}}
{{- end -}}

{{- define "kedge.enterprise" -}}
{{- $release := required "enterprise.release: which release's archive is it?" .Values.enterprise.release -}}
{{- .Values.enterprise.fullname | default (printf "%s-enterprise" $release | trunc 63 | trimSuffix "-") -}}
{{- end -}}

{{/* Whether the command is one that serves its progress and writes a report. */}}
{{- define "kedge.observed" -}}
{{- if has .Values.mode (list "migrate" "copy" "rollback" "purge") -}}true{{- end -}}
{{- end -}}

{{/*
The path of the checkpoint without its ending. copy and rollback have that of the
migration that they belong to: the record of copies is beside it.
*/}}
{{- define "kedge.checkpoint" -}}
{{- $name := include "kedge.migration" . -}}
{{- if has .Values.mode (list "plan" "copy" "rollback") -}}{{- $name = printf "migrate%s" ($name | trimPrefix .Values.mode) -}}{{- end -}}
/state/{{ $name }}.checkpoint
{{- end -}}

{{/*
What keeps the files of one migration on the volume apart from those of another:
the sections, the bucket and the direction.
*/}}
{{- define "kedge.migration" -}}
{{- $words := list .Values.mode -}}
{{- if ne .Values.analysisArchive "none" -}}{{- $words = append $words (printf "%s-analysis-archive" .Values.analysisArchive) -}}{{- end -}}
{{- with .Values.bucket -}}{{- $words = append $words . -}}{{- end -}}
{{- if eq .Values.direction "back" -}}{{- $words = append $words "back" -}}{{- end -}}
{{/* What was only counted must not count as done for the purge itself. */}}
{{- if and .Values.dryRun (eq .Values.mode "purge") -}}{{- $words = append $words "dry-run" -}}{{- end -}}
{{- join "-" $words -}}
{{- end -}}

{{/*
The commands of a pod, a JSON list of lists of arguments. All but the last one are
init containers, because mode check tries both configurations.
*/}}
{{- define "kedge.commands" -}}
{{- $source := "/config/config.yaml" -}}
{{- $destination := "/config/dest-config.yaml" -}}
{{- $back := or (eq .Values.direction "back") (eq .Values.mode "rollback") -}}
{{- if $back -}}
{{- $source = "/config/dest-config.yaml" -}}
{{- $destination = "/config/config.yaml" -}}
{{- end -}}
{{- $sections := list -}}
{{- $archive := .Values.analysisArchive -}}
{{/* A rollback is told by the migration that it goes back from. */}}
{{- if and (eq .Values.mode "rollback") (ne $archive "none") -}}{{- $archive = ternary "from" "to" (eq $archive "to") -}}{{- end -}}
{{- if ne $archive "none" -}}{{- $sections = append $sections (printf "--%s-analysis-archive" $archive) -}}{{- end -}}
{{- $bucket := list -}}
{{- with .Values.bucket -}}{{- $bucket = list (printf "--bucket=%s" .) -}}{{- end -}}
{{- $common := concat (list "--log-format=json") .Values.extraArgs -}}
{{- if eq .Values.mode "check" -}}
{{- $from := ternary (list "--analysis-archive") (list) (eq .Values.analysisArchive "from") -}}
{{- $to := ternary (list "--analysis-archive") (list) (eq .Values.analysisArchive "to") -}}
{{- list (concat (list "check") $from $common (list $source)) (concat (list "check") $to $common (list $destination)) | toJson -}}
{{- else if eq .Values.mode "verify" -}}
{{- $checkpoint := printf "--checkpoint=/state/%s.checkpoint" (include "kedge.migration" .) -}}
{{- list (concat (list "verify") $bucket (list $checkpoint) $common (list $destination)) | toJson -}}
{{- else -}}
{{- $args := concat (list .Values.mode) $sections $bucket -}}
{{- if and .Values.nodelete (has .Values.mode (list "migrate" "plan")) -}}{{- $args = append $args "--nodelete" -}}{{- end -}}
{{- if and .Values.dryRun (has .Values.mode (list "migrate" "purge")) -}}{{- $args = append $args "--dry-run" -}}{{- end -}}
{{- if and .Values.follow (eq .Values.mode "copy") -}}{{- $args = append $args "--follow" -}}{{- end -}}
{{- if has .Values.mode (list "migrate" "rollback" "purge") -}}{{- $args = append $args "--dontask" -}}{{- end -}}
{{- if include "kedge.observed" . -}}{{- $args = append $args "--wait" -}}{{- end -}}
{{- $args = append $args (printf "--checkpoint=%s" (include "kedge.checkpoint" .)) -}}
{{- if include "kedge.observed" . -}}
{{- $args = append $args (printf "--report=/state/%s.html" (include "kedge.migration" .)) -}}
{{- $args = append $args (printf "--listen=%s%d" (ternary "0.0.0.0:" "" .Values.listen.service.enabled) (int .Values.listen.port)) -}}
{{- end -}}
{{- list (concat $args $common (list $source $destination)) | toJson -}}
{{- end -}}
{{- end -}}

{{/* Keys of a store that the release uses, under the names of its config.yaml. */}}
{{- define "kedge.storeKeys" -}}
{{- if .store.secret }}
- name: {{ .prefix }}_ACCESS_KEY
  valueFrom:
    secretKeyRef:
      name: {{ .store.secret }}
      key: {{ .store.accessKey }}
- name: {{ .prefix }}_SECRET_KEY
  valueFrom:
    secretKeyRef:
      name: {{ .store.secret }}
      key: {{ .store.secretKey }}
{{- end }}
{{- end -}}

{{- define "kedge.env" -}}
{{- if .Values.enterprise.environmentFile }}
- name: ANCHORE_ENV_FILE
  value: {{ .Values.enterprise.environmentFile | quote }}
{{- else }}
{{- $secret := .Values.enterprise.secret | default (include "kedge.enterprise" .) }}
{{- range list "ANCHORE_DB_USER" "ANCHORE_DB_PASSWORD" "ANCHORE_DB_HOST" "ANCHORE_DB_PORT" "ANCHORE_DB_NAME" }}
- name: {{ . }}
  valueFrom:
    secretKeyRef:
      name: {{ $secret }}
      key: {{ . }}
{{- end }}
{{- end }}
{{- include "kedge.storeKeys" (dict "store" .Values.enterprise.object_store "prefix" "ANCHORE_OBJECT_STORE") }}
{{- include "kedge.storeKeys" (dict "store" .Values.enterprise.analysis_archive "prefix" "ANCHORE_ANALYSIS_ARCHIVE") }}
{{- range .Values.destination.credentials }}
- name: {{ .name }}
  valueFrom:
    secretKeyRef:
      name: {{ .secret }}
      key: {{ .key }}
{{- end }}
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* A container, without its name and arguments. */}}
{{- define "kedge.container" -}}
image: {{ include "kedge.image" . | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
command: [kedge]
envFrom:
  # Nothing secret: the time limit of a statement, for one.
  - configMapRef:
      name: {{ .Values.enterprise.release }}-enterprise-config-env-vars
      optional: true
env: {{- include "kedge.env" . | nindent 2 }}
resources: {{- toYaml .Values.resources | nindent 2 }}
securityContext: {{- toYaml .Values.securityContext | nindent 2 }}
volumeMounts:
  - name: config
    mountPath: /config
    readOnly: true
  - name: state
    mountPath: /state
  {{- if .Values.enterprise.certificatesSecret }}
  - name: certs
    mountPath: /home/anchore/certs
    readOnly: true
  {{- end }}
  {{- with .Values.extraVolumeMounts }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}
