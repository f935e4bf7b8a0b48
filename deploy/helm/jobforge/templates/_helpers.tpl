{{- define "jobforge.labels" -}}
app.kubernetes.io/name: {{ .name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "jobforge.objectLabels" -}}
{{ include "jobforge.labels" . }}
app.kubernetes.io/part-of: jobforge
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end }}

{{- define "jobforge.image" -}}
{{- $own := .image | default dict -}}
{{- $common := .root.Values.image -}}
{{ $own.repository | default $common.repository }}:{{ $own.tag | default $common.tag | default .root.Chart.AppVersion }}
{{- end }}

{{- /* What the pods of servers and workers have in common: of dict root, name, component, grace. */ -}}
{{- define "jobforge.podMeta" -}}
labels:
  {{- include "jobforge.labels" . | nindent 2 }}
  app.kubernetes.io/part-of: jobforge
  {{- with .root.Values.podLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
annotations:
  checksum/settings: {{ toYaml .root.Values.settings | sha256sum }}
  {{- with .root.Values.podAnnotations }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}

{{- define "jobforge.pod" -}}
serviceAccountName: {{ .root.Release.Name }}
automountServiceAccountToken: false
terminationGracePeriodSeconds: {{ .grace }}
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  seccompProfile:
    type: RuntimeDefault
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        app.kubernetes.io/name: {{ .name }}
{{- with .root.Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "jobforge.containerSecurity" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
{{- end }}

{{- define "jobforge.settings" -}}
envFrom:
  - configMapRef:
      name: {{ .Release.Name }}-settings
{{- end }}

{{- /* A variable from the secret: of dict root, name, key, optional. */ -}}
{{- define "jobforge.secretVariable" -}}
- name: {{ .name }}
  valueFrom:
    secretKeyRef:
      name: {{ .root.Values.secretName }}
      key: {{ .key }}
      {{- if .optional }}
      optional: true
      {{- end }}
{{- end }}

{{- define "jobforge.database" -}}
{{ include "jobforge.secretVariable" (dict "root" . "name" "DATABASE_URL" "key" "database-url") }}
{{ include "jobforge.secretVariable" (dict "root" . "name" "DATABASE_DIRECT_URL" "key" "database-direct-url" "optional" true) }}
{{- end }}
